"""`user_vectors`: the mean of given vectors of the users that met an item last."""

from typing import Literal

from export.contract.statistics.base import Side
from export.contract.statistics.given_vectors import GivenVectors


class UserVectors(GivenVectors):
    """DropoutNet's transform of an item: a preference from the first click it gets on."""

    aggregate: Literal["user_vectors"] = "user_vectors"

    @property
    def sides(self) -> tuple[Side, ...]:
        """Items only."""
        return ("item",)
