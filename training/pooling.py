"""Pooling: the vectors of a bag's words become one."""

from typing import Any

import torch
from scipy.sparse import csr_matrix
from torch import Tensor, nn
from torch.nn import functional

from export.contract.features import PADDING_ROW, FeatureKind
from export.contract.features.bag import Bag
from training.ragged import offsets

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
    is_word = (rows != PADDING_ROW).numpy()
    words, counted = (torch.from_numpy(one.numpy()[is_word]) for one in (rows, shares))
    starts = torch.from_numpy(offsets(is_word.sum(1)))
    bags: Tensor = _Bags.apply(table.weight, words, counted, starts)  # type: ignore[no-untyped-call]
    return bags


class _Bags(torch.autograd.Function):
    """The same without [batch, length, width] in memory, and ten times as fast for long bags.

    Bags are the rows of a sparse matrix [batch, words], so a table's gradient is a sum over bags,
    too: those of its transpose. PyTorch's own backward pass sorts the words of a batch instead,
    which takes longer than all the rest of a step.
    """

    @staticmethod
    def forward(ctx: Any, table: Tensor, words: Tensor, shares: Tensor, starts: Tensor) -> Tensor:
        """Return [batch, width]; bag i holds `words[starts[i]:starts[i + 1]]`."""
        ctx.save_for_backward(words, shares, starts)
        ctx.size = len(table)
        return _sums(table, words, shares, starts)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        """Return the gradient of the table; shares are facts of the batch and have none."""
        words, shares, starts = (one.numpy() for one in ctx.saved_tensors)
        bags = csr_matrix((shares, words, starts), shape=(len(gradient), ctx.size)).tocsc()
        of_words = (torch.from_numpy(one) for one in (bags.indices, bags.data, bags.indptr))
        return _sums(gradient, *of_words), None, None, None


def _sums(table: Tensor, words: Tensor, shares: Tensor, starts: Tensor) -> Tensor:
    words, starts = words.long(), starts.long()
    return functional.embedding_bag(
        words, table, starts, mode="sum", per_sample_weights=shares, include_last_offset=True
    )
