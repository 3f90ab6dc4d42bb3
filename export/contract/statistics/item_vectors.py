"""`item_vectors`: the mean of given vectors of the items a user met last."""

from typing import Literal

from export.contract.statistics.given_vectors import GivenVectors


class ItemVectors(GivenVectors):
    """DropoutNet's transform of a user: a preference from the first click on."""

    aggregate: Literal["item_vectors"] = "item_vectors"
