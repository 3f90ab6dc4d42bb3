"""What a loss is given, and what every kind of loss promises."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from export.contract.strict import Strict
from training.augmented import Augmented
from training.span import Span
from training.vectors import VectorFiles


@dataclass(frozen=True)
class SideVectors:
    """What a tower made of n entities.

    vectors: float[n, D].
    augmented: Those of their own ids, where the tower takes such.
    """

    vectors: Tensor
    augmented: Augmented | None = None


@dataclass(frozen=True)
class Vectors:
    """What a teacher says: vectors of B users and C candidates, NaN for those that have none.

    users: float[B, D], items: float[C, D]; no gradient runs into either.
    """

    users: Tensor
    items: Tensor

    @property
    def scores(self) -> Tensor:
        """Return float[B, C], NaN where the user or the candidate has no vector."""
        return self.users @ self.items.T

    def take(self, users: Tensor, items: Tensor) -> "Vectors":
        """Return the vectors at these places."""
        return Vectors(self.users[users], self.items[items])


@dataclass(frozen=True)
class Scored:
    """A batch of B rows (user, item shown, clicked or not) and its C candidate items.

    user_vectors: float[B, D], item_vectors: float[C, D], what the towers gave.
    scores: float[B, C], similarity of each row's user and each candidate.
    users: int64[B], items: int64[C], their positions in the tables.
    own: int64[B], the column that holds the row's own item.
    is_positive: bool[B], the row was clicked; the others were shown and not clicked.
    weight: float[B], the rows' sample weights.
    candidate: bool[B, C], what `negatives` hold each row against.
    same_item: bool[B, C], the candidate is the row's own item (its own column included).
    known_positive: bool[B, C], the candidate is another item the user clicked in training.
    cold: bool[C], the candidate is seen without preference.
    log_q: float[B, C], log of the chance that a candidate is drawn.
    sessions: Name of a session column to int64[B], equal where the session is.
    warm: The towers' own vectors with nothing hidden, where a loss needs the warm view.
    given: Vectors from the files that losses name.
    user_augmented, item_augmented: B and C augmented vectors; None where a tower takes none.
    categories: Name of an item feature to int64[C], the table rows of the candidates' words, as
        they are: a word that dropout keeps from the tower is there.
    """

    user_vectors: Tensor
    item_vectors: Tensor
    scores: Tensor
    users: Tensor
    items: Tensor
    own: Tensor
    is_positive: Tensor
    weight: Tensor
    candidate: Tensor
    same_item: Tensor
    known_positive: Tensor
    cold: Tensor
    log_q: Tensor
    sessions: Mapping[str, Tensor]
    warm: Vectors | None
    given: Mapping[VectorFiles, Vectors]
    user_augmented: Augmented | None = None
    item_augmented: Augmented | None = None
    categories: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def own_scores(self) -> Tensor:
        """Return float[B], each row's user with its own item."""
        return self.scores.gather(1, self.own.unsqueeze(1)).squeeze(1)


class LossKind(Strict):
    """A loss: its options, what it needs, and its formula.

    A loss without parameters writes `__call__`. One that learns some returns a module of its own
    from `build`: its parameters join the optimiser (without decay) and the checkpoint.
    """

    needs_exposures: ClassVar[bool] = False
    """Whether batches have to hold rows that were shown and not clicked."""

    searched: ClassVar[Mapping[str, Span]] = {}
    """Options worth a search, and the values to search among."""

    needs_augmented: ClassVar[bool] = False
    """Whether augmented vectors are read, which both towers have to take then."""

    needs_product: ClassVar[bool] = False
    """Whether scores have to be of any size, as inner products are and cosines are not."""

    kind: str
    weight: float = Field(1.0, gt=0)

    @property
    def together(self) -> str | None:
        """The column of the interactions whose equal rows have to share a batch, if any."""
        return None

    @property
    def categories(self) -> tuple[str, ...]:
        """The item features, of kind category, whose words are read."""
        return ()

    @property
    def needs_warm_view(self) -> bool:
        """Whether each batch is encoded a second time, with nothing hidden."""
        return False

    @property
    def vector_files(self) -> VectorFiles | None:
        """The files of vectors that the loss is given, if any."""
        return None

    def check_vectors(self, size: int, dim: int) -> None:
        """Check that given vectors of this length go with towers of `dim`; raises ConfigError."""

    @abstractmethod
    def build(self) -> nn.Module:
        """Return the module that is trained: `Scored` in, a number out.

        The loss of a batch is 0 where nothing in it counts, never NaN for that.
        """


class FormulaLoss(LossKind):
    """A loss that its options say in full."""

    def build(self) -> nn.Module:
        """Return the formula as a module."""
        return Formula(self)

    @abstractmethod
    def __call__(self, batch: Scored) -> Tensor:
        """Return the loss of a batch."""


class Formula(nn.Module):
    """A loss that learns nothing of its own."""

    def __init__(self, loss: FormulaLoss) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, batch: Scored) -> Tensor:
        """Return the loss of a batch."""
        return self.loss(batch)


class CandidateLoss(FormulaLoss):
    """A loss that holds clicked rows against candidates.

    `mask_accidental_hits` takes the row's item out of its negatives where it stands in another
    column, `mask_known_positives` the other items the user clicked in training.
    """

    mask_accidental_hits: bool = True
    mask_known_positives: bool = True

    def held_against(self, batch: Scored) -> Tensor:
        """Return bool[B, C], the candidates that count as negatives; never the own column."""
        found = batch.candidate.scatter(1, batch.own.unsqueeze(1), False)
        if self.mask_accidental_hits:
            found = found & ~batch.same_item
        if self.mask_known_positives:
            found = found & ~batch.known_positive
        return found


def weighted_mean(losses: Tensor, weight: Tensor) -> Tensor:
    """Return sum(weight * loss) / sum(weight); 0 where there is no weight."""
    return (losses * weight).sum() / weight.sum().clamp_min(torch.finfo(weight.dtype).tiny)
