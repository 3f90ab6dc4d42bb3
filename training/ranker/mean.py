"""`base`: the mean of a history, whatever the candidate: what attention is compared with."""

from typing import Literal

from torch import Tensor

from training.ranker.options import Pooling, RankerOptions, of_candidates


class BaseConfig(RankerOptions):
    """The ranker with the same features and mean pooling (BaseModel of Zhou et al., KDD 2018)."""

    kind: Literal["base"] = "base"

    def pooling(self) -> Pooling:
        """Return mean pooling."""
        return Mean()


class Mean(Pooling):
    """The mean of the keys that are known."""

    def forward(self, keys: Tensor, known: Tensor, queries: Tensor, user: Tensor | None) -> Tensor:
        """Return float[N, dim]."""
        weights = known.to(keys.dtype)  # [U, H]
        share = weights / weights.sum(1, keepdim=True).clamp_min(1)
        return of_candidates((share.unsqueeze(1) @ keys).squeeze(1), user)
