"""Pairwise logistic loss: what was clicked above what was shown beside it and was not."""

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field
from torch import Tensor
from torch.nn import functional

from training.losses.base import FormulaLoss, Scored, weighted_mean
from training.span import Span

WHOLE_BATCH = "batch"


class Pairwise(FormulaLoss):
    """softplus(-(d - margin)) with d = (score clicked - score not clicked) / temperature.

    Over all pairs of rows of one session, labels 1 and 0 (Burges et al., ICML 2005, with a
    margin). `session` is a column of the interactions, of whose equal values rows share a session
    and a batch; `batch` holds every row against every other, as EasyRec does. A pair weighs the
    product of its rows' weights, so that a weight of 2 is the row twice and 0 is the row absent.
    """

    needs_exposures: ClassVar[bool] = True
    searched: ClassVar[Mapping[str, Span]] = {"temperature": Span(0.03, 0.5)}

    kind: Literal["pairwise"] = "pairwise"
    temperature: float = Field(0.1, gt=0)
    margin: float = Field(0.0, ge=0)
    session: str = Field("user_id", min_length=1)

    @property
    def together(self) -> str | None:
        """The session's column; none where the whole batch is one."""
        return None if self.session == WHOLE_BATCH else self.session

    def __call__(self, batch: Scored) -> Tensor:
        """Return the weighted mean over pairs; 0 where there is none."""
        clicked, shown = batch.is_positive, ~batch.is_positive
        score, weight = batch.own_scores, batch.weight
        difference = (score[clicked, None] - score[None, shown]) / self.temperature  # [P, N]
        pair_weight = weight[clicked, None] * weight[None, shown]
        if self.together is not None:
            session = batch.sessions[self.together]
            pair_weight = pair_weight * (session[clicked, None] == session[None, shown])
        return weighted_mean(functional.softplus(self.margin - difference), pair_weight)
