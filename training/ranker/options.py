"""What every kind of ranker has: its options, and how a history is pooled."""

from abc import abstractmethod

from pydantic import ConfigDict, Field
from torch import Tensor, nn

from export.contract.strict import Strict
from training.dropout import DropoutConfig


class Pooling(nn.Module):
    """The keys of a history as one vector for each candidate."""

    @abstractmethod
    def forward(self, keys: Tensor, known: Tensor, queries: Tensor, user: Tensor | None) -> Tensor:
        """Return float[N, dim], zeros where a history is empty.

        Args:
            keys: float[U, H, dim], what stands in the histories; anything where padded.
            known: bool[U, H], false where padded, which never counts.
            queries: float[N, dim], the candidates' keys.
            user: int64[N], whose candidate it is; None: the candidates are those of U, in order.
        """


class RankerOptions(Strict):
    """A ranker: how wide, how it is trained, and which feature of the user is the history.

    `history` names the preference feature of aggregate `last`; None: the only one there is.
    `dropout` is that of the rows shown to the ranker; None: the one of the towers. `stale`: up to
    this share of a history's newest items is hidden from a row in training, drawn evenly, so that
    histories as old as those it will be given are no news. `products`: the candidate's products
    with user and pooled history are given to the network behind; the paper has none.
    `regularise` is lambda of the mini-batch-aware decay of the tables. With `baseline`, a ranker
    of kind `base` is trained beside, to be compared with.
    """

    model_config = ConfigDict(allow_inf_nan=False)

    kind: str
    history: str | None = None
    dim: int = Field(32, ge=1)
    hidden: tuple[int, ...] = (64, 32)
    products: bool = True
    dropout: DropoutConfig | None = None
    stale: float = Field(0.0, ge=0, lt=1)
    epochs: int = Field(4, ge=1)
    batch: int = Field(1024, ge=1)
    learning_rate: float = Field(0.002, gt=0)
    regularise: float = Field(0.0, ge=0)
    baseline: bool = True

    @abstractmethod
    def pooling(self) -> Pooling:
        """Return what pools a history for a candidate."""


def of_candidates(values: Tensor, user: Tensor | None) -> Tensor:
    """Return what users have [U, ...] for each of their candidates: [N, ...]."""
    return values if user is None else values[user]
