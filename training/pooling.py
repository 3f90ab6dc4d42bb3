"""Pooling: the vectors of a bag's words become one."""

import torch
from torch import Tensor, nn

from export.contract.features import FeatureKind
from export.contract.features.bag import Bag

LOWEST = -1e30  # of a score; finite, so that a bag in which nothing counts is no NaN


class Mean(nn.Module):
    """The mean, weighted where the words have weights; zeros of an empty bag."""

    def forward(self, vectors: Tensor, is_word: Tensor, weights: Tensor | None) -> Tensor:
        """Return float[batch, width].

        Args:
            vectors: float[batch, length, width].
            is_word: bool[batch, length]: false where a bag is only filled up.
            weights: float[batch, length], above 0 where there is a word.
        """
        counts = is_word.float() if weights is None else is_word * weights
        return _sum(vectors, counts / counts.sum(1, keepdim=True).clamp_min(1e-9))


class Attention(nn.Module):
    """A mean in which a word with vector e counts weight * exp(q e), by a learned query q.

    The query begins as zeros, and so attention as the mean. It is one for all bags of a feature:
    what a user is matched with is not known to the user's tower.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.zeros(width))

    def forward(self, vectors: Tensor, is_word: Tensor, weights: Tensor | None) -> Tensor:
        """Return float[batch, width]; the arguments are those of `Mean`."""
        scores = torch.matmul(vectors, self.query)
        scores = scores if weights is None else scores + weights.log()
        scores = torch.where(is_word, scores, LOWEST)
        counts = torch.exp(scores - scores.amax(1, keepdim=True)) * is_word
        # The highest score of a bag counts 1, so the floor is for empty bags only.
        return _sum(vectors, counts / counts.sum(1, keepdim=True).clamp_min(1.0))


def pooling(feature: FeatureKind, width: int) -> nn.Module:
    """Return how a feature of several words is pooled: as it says, else by the mean."""
    attends = isinstance(feature, Bag) and feature.pooling == "attention"
    return Attention(width) if attends else Mean()


def _sum(vectors: Tensor, shares: Tensor) -> Tensor:
    return torch.matmul(shares.unsqueeze(1), vectors).squeeze(1)
