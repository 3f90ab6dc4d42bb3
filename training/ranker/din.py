"""`din`: attention of a candidate over the history."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from training.ranker.dice import Dice
from training.ranker.options import Pooling, RankerOptions, of_candidates


class DinConfig(RankerOptions):
    """Deep Interest Network (Zhou et al., KDD 2018): the history weighted by the candidate.

    `weights`: `sum` takes the unit's values as they are, as the paper does, so that more of an
    interest weighs more; `softmax` has them add up to 1. `attention`: the sizes of the unit's
    hidden layers.
    """

    kind: Literal["din"] = "din"
    weights: Literal["softmax", "sum"] = "softmax"
    attention: tuple[int, ...] = (32,)

    def pooling(self) -> Pooling:
        """Return target attention."""
        return Attention(self.dim, self.attention, is_softmax=self.weights == "softmax")


class Attention(Pooling):
    """sum over the history of a(k, q) k."""

    def __init__(self, dim: int, hidden: Sequence[int], *, is_softmax: bool) -> None:
        super().__init__()
        self.unit = ActivationUnit(dim, hidden)
        self.is_softmax = is_softmax

    def forward(self, keys: Tensor, known: Tensor, queries: Tensor, user: Tensor | None) -> Tensor:
        """Return float[N, dim]."""
        logits = self.unit(keys, known, queries, user)  # [N, H]
        keys, known = of_candidates(keys, user), of_candidates(known, user)
        if self.is_softmax:
            logits = logits.masked_fill(~known, torch.finfo(logits.dtype).min).softmax(1)
        pooled: Tensor = ((logits * known).unsqueeze(1) @ keys).squeeze(1)
        return pooled


class ActivationUnit(nn.Module):
    """A network over query, key, their difference and their product: one number a pair.

    Its first layer, W [q, k, q - k, q * k], is taken apart: what is of the key alone is computed
    once a user, what is of the query alone once a candidate, only the product for each pair.
    """

    def __init__(self, dim: int, hidden: Sequence[int]) -> None:
        super().__init__()
        sizes = [*hidden, 1]
        first = nn.Linear(4 * dim, sizes[0])
        self.first = nn.ParameterList(part.detach().clone() for part in first.weight.chunk(4, 1))
        self.bias = first.bias
        self.activations = nn.ModuleList(Dice(size) for size in hidden)
        self.layers = nn.ModuleList(
            nn.Linear(size, to) for size, to in zip(sizes, sizes[1:], strict=False)
        )

    def forward(self, keys: Tensor, known: Tensor, queries: Tensor, user: Tensor | None) -> Tensor:
        """Return float[N, H]; anything where a key is padding."""
        of_query, of_key, of_difference, of_product = self.first
        by_key = keys @ (of_key - of_difference).T  # [U, H, hidden]
        by_query = queries @ (of_query + of_difference).T + self.bias  # [N, hidden]
        products = of_candidates(keys, user) * queries.unsqueeze(1)  # [N, H, dim]
        values: Tensor = of_candidates(by_key, user) + by_query.unsqueeze(1)
        values = values + products @ of_product.T
        counted = of_candidates(known, user)
        for activation, layer in zip(self.activations, self.layers, strict=True):
            values = layer(activation(values, counted))
        return values.squeeze(2)
