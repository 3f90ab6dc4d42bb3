"""Pooling: the vectors of a bag's words become one."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from export.contract.features import PADDING_ROW, FeatureKind
from export.contract.features.bag import Bag

LOWEST = -1e30  # of a score; finite, so that a bag in which nothing counts is no NaN


class Mean(nn.Module):
    """The mean, weighted where the words have weights; zeros of an empty bag."""

    def forward(self, table: nn.Embedding, rows: Tensor, weights: Tensor | None) -> Tensor:
        """Return float[batch, width].

        Args:
            table: The words' vectors.
            rows: int[batch, length], `PADDING_ROW` where a bag is only filled up.
            weights: float[batch, length], above 0 where there is a word; None: all equal.
        """
        is_word = rows != PADDING_ROW
        counts = is_word.float() if weights is None else is_word * weights
        return _sum(table, rows, self.shares(counts))

    def shares(self, counts: Tensor) -> Tensor:
        """Return what each word's vector is multiplied by; `counts` is 0 where there is none."""
        return counts / counts.sum(1, keepdim=True).clamp_min(1e-9)


class SqrtN(Mean):
    """The sum over the square root of the sum of squared weights: sqrt(n) for n equal ones.

    The mean of n vectors that have nothing to do with each other is 1 / sqrt(n) as long as one of
    them, so that a bag of many words says less than one of few; here both are as long.
    """

    def shares(self, counts: Tensor) -> Tensor:
        """Return what each word's vector is multiplied by."""
        counts = counts / counts.amax(1, keepdim=True).clamp_min(1e-30)  # squares stay finite
        return counts / counts.square().sum(1, keepdim=True).sqrt().clamp_min(1.0)


class Attention(nn.Module):
    """A mean in which a word with vector e counts weight * exp(q e), by a learned query q.

    The query begins as zeros, and so attention as the mean. It is one for all bags of a feature:
    what a user is matched with is not known to the user's tower.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.zeros(width))

    def forward(self, table: nn.Embedding, rows: Tensor, weights: Tensor | None) -> Tensor:
        """Return float[batch, width]; the arguments are those of `Mean`."""
        vectors, is_word = table(rows), rows != PADDING_ROW
        scores = torch.matmul(vectors, self.query)
        scores = scores if weights is None else scores + weights.log()
        scores = torch.where(is_word, scores, LOWEST)
        counts = torch.exp(scores - scores.amax(1, keepdim=True)) * is_word
        # The highest score of a bag counts 1, so the floor is for empty bags only.
        shares = counts / counts.sum(1, keepdim=True).clamp_min(1.0)
        return torch.matmul(shares.unsqueeze(1), vectors).squeeze(1)


def pooling(feature: FeatureKind, width: int) -> nn.Module:
    """Return how a feature of several words is pooled: as it says, else by the mean."""
    how = feature.pooling if isinstance(feature, Bag) else "mean"
    return Attention(width) if how == "attention" else SqrtN() if how == "sqrtn" else Mean()


def _sum(table: nn.Embedding, rows: Tensor, shares: Tensor) -> Tensor:
    """Return the sum over each bag of its words' vectors, each times its share."""
    if torch.compiler.is_exporting():  # a graph of plain operators, as ONNX has them
        return torch.matmul(shares.unsqueeze(1), table(rows)).squeeze(1)
    # The same without [batch, length, width] in memory: ten times as fast for long bags.
    is_word = rows != PADDING_ROW
    lengths = is_word.sum(1)
    return functional.embedding_bag(
        rows[is_word],
        table.weight,
        lengths.cumsum(0) - lengths,
        mode="sum",
        per_sample_weights=shares[is_word],
    )
