"""The ranker: what an item is, once for all its uses; a user, a history and candidates to chances.

An item's code is all that scoring reads of it, so it is computed once an item and kept: as a
candidate it counts whole, in a history by its key, what of it does not move.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from export.contract.ranker import without_history
from export.contract.schema import Schema
from export.contract.side import SideName
from training.model import GROUPS, FeatureInputs, Tables, make_tables
from training.ranker.check import is_still
from training.ranker.dice import Dice
from training.ranker.options import RankerOptions, of_candidates
from training.towers.additive import AdditiveConfig, AdditiveTower

FARTHEST = 1e3
"""Codes and user vectors are held within this, so that no product of them overflows."""


class Ranker(nn.Module):
    """Both parts, over tables that they share by name."""

    def __init__(self, config: RankerOptions, schema: Schema, history: str) -> None:
        super().__init__()
        schema = without_history(schema, history)
        tables = make_tables(schema, lambda side: config.dim)
        self.code = ItemCode(schema, tables, config.dim)
        self.scorer = Scorer(config, schema, tables, has_standing=self.code.standing is not None)
        self._by_name = tables

    def table(self, name: str) -> Tensor:
        """Return the rows of one table: float[rows, width]."""
        return self._by_name[name].weight


class ItemCode(nn.Module):
    """An item as float[batch, width]: its key, and behind it its standing where it has one.

    The key is the sum of the vectors of content that is no statistic and of the item's own id
    (where preference is absent, of a learned default in place of the id). The standing is that of
    counts, rates and whatever else of the item moves.
    """

    def __init__(self, schema: Schema, tables: Tables, dim: int) -> None:
        super().__init__()
        self.dim, self.has_preference = dim, bool(schema.item.preference)
        self.inputs = _inputs(schema, "item", tables, dim)
        still = {name for name, one in schema.item.features.items() if is_still(one)}
        names = {group: _of(self.inputs, group).names for group in self.inputs}
        self.parts = {
            part: {
                group: [place for place, name in enumerate(all_) if (name in still) == is_key]
                for group, all_ in names.items()
            }
            for part, is_key in (("key", True), ("standing", False))
        }
        self.keys = self._tower("key")
        has_standing = any(self.parts["standing"].values())
        self.standing = self._tower("standing") if has_standing else None
        self.width = dim * (2 if has_standing else 1)

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Return codes; `inputs` are the arrays that `Side.encoded` names."""
        vectors = self._vectors(inputs)
        parts = [self._part("key", self.keys, vectors, inputs)]
        if self.standing is not None:
            parts.append(self._part("standing", self.standing, vectors, inputs))
        return torch.cat(parts, dim=1).clamp(-FARTHEST, FARTHEST)

    def key(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Return the keys alone: float[batch, dim]."""
        found = self._part("key", self.keys, self._vectors(inputs), inputs)
        return found.clamp(-FARTHEST, FARTHEST)

    def _vectors(self, inputs: Mapping[str, Tensor]) -> dict[str, Sequence[Tensor]]:
        """Return every feature's vector, by group."""
        return {
            group: module(inputs).split_with_sizes(_of(self.inputs, group).widths, dim=1)
            for group, module in self.inputs.items()
        }

    def _tower(self, part: str) -> AdditiveTower:
        widths = {
            group: tuple(_of(self.inputs, group).widths[place] for place in places)
            for group, places in self.parts[part].items()
            if places
        }
        return AdditiveTower(AdditiveConfig(dim=self.dim), widths)

    def _part(
        self,
        part: str,
        tower: AdditiveTower,
        vectors: Mapping[str, Sequence[Tensor]],
        inputs: Mapping[str, Tensor],
    ) -> Tensor:
        groups = {
            group: torch.cat([vectors[group][place] for place in places], dim=1)
            for group, places in self.parts[part].items()
            if places
        }
        found: Tensor = tower(groups, inputs["present"] if self.has_preference else None)
        return found


class Scorer(nn.Module):
    """A user, their history and candidates as codes: the logit of a click on each candidate.

    Beside what the paper puts side by side (user, pooled history, candidate) stand, unless
    `products` is false, the products of the candidate's key with both, whichever way the history
    is pooled: within one user, only what user and candidate say together decides the order.
    """

    def __init__(
        self, config: RankerOptions, schema: Schema, tables: Tables, *, has_standing: bool
    ) -> None:
        super().__init__()
        self.dim, self.has_preference = config.dim, bool(schema.user.preference)
        self.inputs = _inputs(schema, "user", tables, config.dim)
        widths = {group: _of(self.inputs, group).widths for group in self.inputs}
        self.user = AdditiveTower(AdditiveConfig(dim=config.dim), widths)
        self.pooling = config.pooling()
        sizes = [*config.hidden, 1]
        self.has_products = config.products
        blocks = 2 + has_standing + 2 * config.products
        self.of_user = nn.Linear(config.dim, sizes[0])
        self.of_pair = nn.Linear(blocks * config.dim, sizes[0], bias=False)
        self.activations = nn.ModuleList(Dice(size) for size in config.hidden)
        self.layers = nn.ModuleList(
            nn.Linear(size, to) for size, to in zip(sizes, sizes[1:], strict=False)
        )

    def forward(
        self,
        inputs: Mapping[str, Tensor],
        history: Tensor,
        known: Tensor,
        codes: Tensor,
        user: Tensor | None = None,
    ) -> Tensor:
        """Return float[N].

        Args:
            inputs: The users' encoded features without the history, [U, ...].
            history: float[U, H, dim], keys, anything where padded.
            known: bool[U, H], false where padded.
            codes: float[N, width], the candidates.
            user: int64[N], the place of each candidate's user; None: candidate i is user i's.
        """
        groups = {group: module(inputs) for group, module in self.inputs.items()}
        present = inputs["present"] if self.has_preference else None
        vectors = self.user(groups, present).clamp(-FARTHEST, FARTHEST)  # [U, dim]
        by_user = self.of_user(vectors)  # once a user
        query = codes[:, : self.dim]
        pooled = self.pooling(history, known, query, user)
        pair = [codes, pooled]
        if self.has_products:
            pair += [of_candidates(vectors, user) * query, pooled * query]
        values = of_candidates(by_user, user) + self.of_pair(torch.cat(pair, dim=1))
        for activation, layer in zip(self.activations, self.layers, strict=True):
            values = layer(activation(values))
        logits: Tensor = values.squeeze(1)
        return logits


def _inputs(schema: Schema, side: SideName, tables: Tables, dim: int) -> nn.ModuleDict:
    groups = {group: getattr(schema.side(side), group) for group in GROUPS}
    return nn.ModuleDict(
        {g: FeatureInputs(schema, side, found, tables, dim) for g, found in groups.items() if found}
    )


def _of(inputs: nn.ModuleDict, group: str) -> FeatureInputs:
    found = inputs[group]
    assert isinstance(found, FeatureInputs)
    return found
