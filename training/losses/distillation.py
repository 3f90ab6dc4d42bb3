"""Distillation: what a teacher knows of a user and its candidates, told to the towers."""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from export.contract.errors import ConfigError
from training.losses.base import FormulaLoss, Scored, Vectors, weighted_mean
from training.vectors import VectorFiles


class Distillation(FormulaLoss):
    """The distance of each clicked row from what the teacher says of it.

    `teacher` is the `warm_view`: the same model as it would be served at this step, with nothing
    hidden, so that the view without preference learns from the one with it (Xu et al., KDD 2020,
    "Privileged Features Distillation"); or two files of vectors whose product is a score, such as
    factors. No gradient runs into it.

    `match: scores`: KL(softmax(teacher / teacher_temperature) || softmax(score / temperature))
    over the row's candidates and its own item (Hinton et al., arXiv 1503.02531, without the factor
    T^2). `match: vectors`: 1 - cosine of the user's vector and the teacher's, plus that of the own
    item's. Who has no vector in the files is left out.
    """

    kind: Literal["distillation"] = "distillation"
    teacher: Literal["warm_view"] | VectorFiles = "warm_view"
    match: Literal["scores", "vectors"] = "scores"
    temperature: float = Field(0.1, gt=0)
    teacher_temperature: float | None = Field(None, gt=0)

    @property
    def needs_warm_view(self) -> bool:
        """Whether the teacher is the model itself."""
        return self.teacher == "warm_view"

    @property
    def vector_files(self) -> VectorFiles | None:
        """The teacher's files."""
        return self.teacher if isinstance(self.teacher, VectorFiles) else None

    def check_vectors(self, size: int, dim: int) -> None:
        """Vectors can be matched only if they have the towers' length."""
        if self.match == "vectors" and size != dim:
            raise ConfigError(
                f"losses.distillation: match: vectors needs vectors of the towers' length {dim}, "
                f"the files hold {size} numbers; set the towers' dim, or match: scores"
            )

    def __call__(self, batch: Scored) -> Tensor:
        """Return the weighted mean over clicked rows; 0 where none counts."""
        files = self.vector_files
        teacher = batch.warm if files is None else batch.given[files]
        assert teacher is not None
        return self._scores(batch, teacher) if self.match == "scores" else _turn(batch, teacher)

    def _scores(self, batch: Scored, teacher: Vectors) -> Tensor:
        taught = teacher.scores
        kept = batch.candidate.scatter(1, batch.own.unsqueeze(1), True) & ~taught.isnan()
        rows = batch.is_positive & kept.any(1)
        kept = kept[rows]
        wanted = _log_shares(taught[rows], kept, self.teacher_temperature or self.temperature)
        found = _log_shares(batch.scores[rows], kept, self.temperature)
        terms = wanted.exp() * (wanted - found)
        return weighted_mean(terms.where(kept, 0.0).sum(1), batch.weight[rows])


def _log_shares(scores: Tensor, kept: Tensor, temperature: float) -> Tensor:
    """Return the log of softmax over the candidates that are kept, [B, C]."""
    return functional.log_softmax((scores / temperature).masked_fill(~kept, -torch.inf), dim=1)


def _turn(batch: Scored, teacher: Vectors) -> Tensor:
    """Return how far the vectors point away from the teacher's, of users and of own items."""
    weight = batch.weight * batch.is_positive
    pairs = [
        (batch.user_vectors, teacher.users),
        (batch.item_vectors[batch.own], teacher.items[batch.own]),
    ]
    return torch.stack([_away(ours, theirs, weight) for ours, theirs in pairs]).sum()


def _away(ours: Tensor, theirs: Tensor, weight: Tensor) -> Tensor:
    known = ~theirs.isnan().any(1)
    cosine = functional.cosine_similarity(ours, theirs.nan_to_num(0.0), dim=1)
    return weighted_mean(1 - cosine, weight * known)
