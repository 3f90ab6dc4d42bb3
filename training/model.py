"""Two towers over shared embedding tables: encoded features in, vectors out."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from export.contract.features import FIRST_WORD_ROW, PADDING_ROW
from export.contract.schema import Schema
from export.contract.sharing import table_of, table_users
from export.contract.side import SIDES, Group, Side, SideName
from training.augmented import AUGMENTED, Augmented, AugmentedInput, own_ids
from training.config import TrainConfig
from training.growing.pieces import Cut, Cuts, Piece, pieces, tower_cuts, under, views
from training.losses.base import SideVectors
from training.pooling import pooling

GROUPS: tuple[Group, ...] = ("content", "context", "preference")
FAINT = 0.1  # length of a vector that nothing on the other side matches yet
Tables = Mapping[str, nn.Embedding]


class FeatureInputs(nn.Module):
    """The features of one group as one wide vector, [batch, sum(widths)].

    One table row as it is; several rows as their `pooling` says; a number x as
    x times a learned vector, a given vector by a learned matrix, or another learned vector where
    either is missing. `names` and `widths` are those of the features' vectors, in the order in
    which they stand beside each other.
    """

    def __init__(
        self,
        schema: Schema,
        side_name: SideName,
        features: Mapping[str, Any],
        tables: Tables,
        embedding: int,
    ) -> None:
        super().__init__()
        side: Side = schema.side(side_name)
        width = {name: feature.dim or embedding for name, feature in features.items()}
        self.ids = [(n, side.ids.index(n)) for n in features if n in side.ids]
        self.bags = [name for name in features if name in side.bags]
        values = [name for name in features if name in side.values]
        self.vectors = [name for name in features if name in side.vectors]
        order = [*(name for name, _ in self.ids), *values, *self.bags, *self.vectors]
        self.names = tuple(order)
        self.widths = tuple(width[name] for name in order)
        self.table_of = {name: table_of(side_name, name, f) for name, f in features.items()}
        used = {self.table_of[n] for n in (*(name for name, _ in self.ids), *self.bags)}
        self.tables = nn.ModuleDict({_key(name): tables[name] for name in sorted(used)})
        self.numbers = {name: width[name] for name in values}
        self.columns = [side.values.index(name) for name in values for _ in range(width[name])]
        if self.columns:
            scale = FAINT * torch.tensor(
                [width[name] ** -0.5 for name in values for _ in range(width[name])]
            )
            self.slope = nn.Parameter(scale * torch.randn(len(self.columns)))
            self.missing = nn.Parameter(scale * torch.randn(len(self.columns)))

        self.dense = nn.ModuleDict(
            {_key(name): Dense(features[name].size, width[name]) for name in self.vectors}
        )
        self.pooling = nn.ModuleDict(
            {_key(name): pooling(features[name], width[name]) for name in self.bags}
        )

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Return float[batch, sum(widths)]."""
        parts = [self._table(name)(inputs["ids"][:, column]) for name, column in self.ids]
        if self.columns:
            parts.append(self._scaled(inputs["values"][:, self.columns]))
        parts += [self._pooled(name, inputs) for name in self.bags]
        parts += [self.dense[_key(name)](inputs[name]) for name in self.vectors]
        return torch.cat(parts, dim=1)

    def cuts(self, group: str) -> Cuts:
        """Return what follows the features, by `group.name`: all but the tables."""
        found: Cuts = {}
        if self.columns:
            parts = [(f"{group}.{name}", width) for name, width in self.numbers.items()]
            found |= {own: Cut(views(getattr(self, own), 0, parts)) for own in ("slope", "missing")}
        for part, names in (("dense", self.vectors), ("pooling", self.bags)):
            for name in names:
                own = f"{part}.{_key(name)}"
                for leaf, values in self.get_submodule(own).named_parameters():
                    found[f"{own}.{leaf}"] = Cut({f"{group}.{name}": values}, f"{part}.{leaf}")
        return found

    def _table(self, feature: str) -> nn.Module:
        return self.tables[_key(self.table_of[feature])]

    def _scaled(self, values: Tensor) -> Tensor:
        unknown = torch.isnan(values)  # [batch, a number's value as often as its vector is wide]
        return torch.where(unknown, self.missing, values.nan_to_num(0.0) * self.slope)

    def _pooled(self, name: str, inputs: Mapping[str, Tensor]) -> Tensor:
        weights = inputs.get(f"{name}.weights")
        pooled: Tensor = self.pooling[_key(name)](self._table(name), inputs[name], weights)
        return pooled


class Dense(nn.Module):
    """A given vector by a learned matrix; a learned vector where it is missing."""

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        scale = FAINT * width**-0.5  # a vector of length 1 begins faint
        self.weight = nn.Parameter(scale * torch.randn(width, size))
        self.missing = nn.Parameter(scale * torch.randn(width))

    def forward(self, vectors: Tensor) -> Tensor:
        """Return float[batch, width] of float[batch, size]; a row that holds NaN is missing."""
        unknown = torch.isnan(vectors).any(1, keepdim=True)
        found = functional.linear(vectors.nan_to_num(0.0), self.weight)
        return torch.where(unknown, self.missing, found)


class SideTower(nn.Module):
    """One tower: encoded features of its own side in, float[batch, dim] out.

    Of unit length, unless the similarity is an inner product; then products of two are divided by
    the root of dim, half of that on either side, as in attention (Vaswani et al., NIPS 2017,
    3.2.1): they begin as small as their targets are, else the first steps may throw them far off.

    It holds nothing of the other side but the tables both share, so a user's vector cannot
    depend on an item input, by construction.
    """

    def __init__(
        self, config: TrainConfig, schema: Schema, side_name: SideName, tables: Tables
    ) -> None:
        super().__init__()
        tower = config.towers[0] if side_name == "user" else config.towers[1]
        side = schema.side(side_name)
        apart = own_ids(side)[:1] if tower.takes_augmented else []
        groups = {g: {n: f for n, f in getattr(side, g).items() if n not in apart} for g in GROUPS}
        self.inputs = nn.ModuleDict(
            {
                group: FeatureInputs(schema, side_name, features, tables, tower.embedding)
                for group, features in groups.items()
                if features
            }
        )
        self.has_preference = bool(side.preference)
        self.is_unit = config.similarity == "cosine"
        self.scale = tower.dim**-0.25
        widths = {group: self._group(group).widths for group in self.inputs}
        self.augmented: AugmentedInput | None = None
        for name in apart:
            table = tables[table_of(side_name, name, side.features[name])]
            self.augmented = AugmentedInput(side.ids.index(name), table)
            widths[AUGMENTED] = (table.embedding_dim,)
        self.names = {g: [f"{g}.{n}" for n in self._group(g).names] for g in self.inputs}
        self.names |= {AUGMENTED: [f"preference.{name}" for name in apart]} if apart else {}
        self.tower = tower.build(widths)

    def _group(self, group: str) -> FeatureInputs:
        found = self.inputs[group]
        assert isinstance(found, FeatureInputs)
        return found

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Return vectors; `inputs` are the arrays that `Side.encoded` names."""
        return self.seen(inputs).vectors

    def seen(self, inputs: Mapping[str, Tensor]) -> SideVectors:
        """Return vectors, and what losses may ask for beside them."""
        groups = {group: module(inputs) for group, module in self.inputs.items()}
        present = inputs["present"] if self.has_preference else None
        augmented: Augmented | None = None
        if self.augmented is not None:
            augmented = self.augmented(inputs)
            groups[AUGMENTED] = augmented.vectors
        vectors: Tensor = self.tower(groups, present)
        vectors = functional.normalize(vectors, dim=1) if self.is_unit else vectors * self.scale
        return SideVectors(vectors, augmented)

    def pieces(self) -> dict[tuple[str, str], Piece]:
        """Return all that is learned but the tables, by name and by feature, `group.name`."""
        cuts = under("tower", tower_cuts(self.tower, self.names))
        for group in self.inputs:
            cuts |= under(f"inputs.{group}", self._group(group).cuts(group))
        if self.augmented is not None:
            own = self.names[AUGMENTED][0]
            cuts["augmented.default"] = Cut({own: self.augmented.default})
        return pieces(self, cuts)


class TwoTower(nn.Module):
    """Both towers, the tables they share by name, and what the losses learn beside them."""

    def __init__(self, config: TrainConfig, schema: Schema) -> None:
        super().__init__()
        tables = make_tables(schema, config.embedding)
        self._by_name = tables
        self.user = SideTower(config, schema, "user", tables)
        self.item = SideTower(config, schema, "item", tables)
        self.losses = nn.ModuleList(one.build() for one in config.losses)

    def side(self, name: SideName) -> SideTower:
        """Return one tower."""
        return self.user if name == "user" else self.item

    def table(self, name: str) -> Tensor:
        """Return the rows of one table: float[rows, width]."""
        return self._by_name[name].weight

    def tables(self) -> list[nn.Parameter]:
        """Return the embedding tables, each once."""
        found = (p for m in self.modules() if isinstance(m, nn.Embedding) for p in m.parameters())
        return list(dict.fromkeys(found))

    def networks(self) -> list[nn.Parameter]:
        """Return every parameter of the towers that is no table."""
        others = {*self.tables(), *self.losses.parameters()}
        return [parameter for parameter in self.parameters() if parameter not in others]


def make_tables(schema: Schema, embedding: Callable[[SideName], int]) -> dict[str, nn.Embedding]:
    """Return every table that a feature looks rows up in.

    `embedding` is the width of a side's vectors that name none.
    What both sides share begins with rows of length 1, so that equal words match from the start;
    what only one side has begins faint.
    """
    tables = {}
    for table, users in table_users((side, schema.side(side)) for side in SIDES).items():
        side, name = users[0]
        width = schema.side(side).features[name].dim or embedding(side)
        length = 1.0 if len({side for side, _ in users}) > 1 else FAINT
        tables[table] = _table(schema.rows(table), width, length)
    return tables


def _table(rows: int, width: int, length: float) -> nn.Embedding:
    """Return a table of rows of about this length; the reserved ones begin at zero."""
    table = nn.Embedding(rows, width, padding_idx=PADDING_ROW)
    nn.init.normal_(table.weight, std=length * width**-0.5)
    with torch.no_grad():
        table.weight[:FIRST_WORD_ROW] = 0
    return table


def _key(table: str) -> str:
    """Return a module name for a table; torch takes no dots, and no names such as `items`."""
    return "/" + table.replace(".", "/")
