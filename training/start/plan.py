"""What a first configuration says: features by group, split and sizes, with the reasons."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from export.contract.side import NAME, SIDES, TAKEN_NAMES, SideName
from training.columns import Columns
from training.commented import Choice
from training.parts import PARTS
from training.start.column import Column
from training.start.kinds import choose
from training.start.request import context_of, has_exposures
from training.start.statistics import Behaviour, is_profiled, item_statistics, user_statistics
from training.start.tables import Tables

Group = dict[str, Choice]
OWN = {"user_id", "item_id", "label", "weight", "timestamp", "order", "split"}
DAY_S = 86_400


@dataclass(frozen=True)
class Sizes:
    """What grows with the number of clicks."""

    dim: int
    batch: int
    epochs: int
    learning_rate: float


@dataclass(frozen=True)
class Plan:
    """What is written: by side and group the features, the split and the sizes.

    Choices without options are columns that are left out, and why.
    """

    groups: dict[SideName, dict[str, Group]]
    split: dict[str, Any]
    split_why: str
    clicks: int
    has_exposures: bool
    sizes: Sizes

    def is_described(self, side: SideName) -> bool:
        """Whether anything but behaviour tells the entities of a side apart."""
        return any(choice.kind for choice in self.groups[side]["content"].values())


def make_plan(tables: Tables) -> Plan:
    """Decide what to write from what the tables hold.

    Raises:
        DataError: `label` or `timestamp` cannot be read.
    """
    columns = Columns(tables.interactions.table, tables.interactions.path)
    clicks = int((columns.labels() > 0).sum())
    content = {side: _content(tables, side) for side in SIDES}
    context = _context(tables, content)
    times = columns.timestamps()
    behaviour = Behaviour(
        has_exposures=has_exposures(tables),
        span_days=0.0 if times is None else float(np.ptp(times)) / DAY_S,
        items=content["item"],
        columns=tables.items.columns,
    )
    taken = {*content["user"], *content["item"], *tables.interactions.columns}
    groups: dict[SideName, dict[str, Group]] = {
        "user": {
            "content": content["user"],
            "context": context,
            "preference": user_statistics(behaviour, taken),
        },
        "item": {
            "content": _shared(content["item"]),
            "preference": item_statistics(behaviour, taken),
        },
    }
    described = {side: any(one.kind for one in content[side].values()) for side in SIDES}
    split, why = _split(tables, times is not None and behaviour.span_days > 0, described)
    return Plan(groups, split, why, clicks, behaviour.has_exposures, sizes(clicks))


def sizes(clicks: int) -> Sizes:
    """Return what suits a number of clicks: wide tables need many, few need more passes."""
    if clicks < 10_000:
        return Sizes(dim=32, batch=256, epochs=12, learning_rate=0.005)
    if clicks < 2_000_000:
        return Sizes(dim=128, batch=1024, epochs=10, learning_rate=0.004)
    return Sizes(dim=128, batch=4096, epochs=4, learning_rate=0.004)


def _content(tables: Tables, side: SideName) -> Group:
    file = tables.users if side == "user" else tables.items
    return dict(_choices(column for name, column in file.columns.items() if name != f"{side}_id"))


def _choices(columns: Iterator[Column]) -> Iterator[tuple[str, Choice]]:
    for column in columns:
        yield column.name, _name_fault(column.name) or choose(column)


def _name_fault(name: str) -> Choice | None:
    if name in TAKEN_NAMES:
        return Choice("the name is taken; rename the column to use it")
    if not NAME.fullmatch(name):
        return Choice("a feature's name has letters, digits, '_' and '-' only; rename the column")
    return None


def _context(tables: Tables, content: Mapping[SideName, Group]) -> Group:
    found: Group = {}
    for name, column in tables.interactions.columns.items():
        if name in OWN:
            continue
        if any(name in content[side] for side in SIDES):
            continue  # it stands in the table of its side, and is read there
        found[name] = _name_fault(name) or context_of(tables, column)
    return found


def _shared(group: Group) -> Group:
    """Name the table of every feature of words, so that profiles can share it."""
    return {
        name: Choice(choice.why, {**choice.options, "table": table_of(name)})
        if is_profiled(choice)
        else choice
        for name, choice in group.items()
    }


def table_of(name: str) -> str:
    """Return the table that a feature of items and its profiles share."""
    return name


def _split(
    tables: Tables, has_times: bool, described: Mapping[SideName, bool]
) -> tuple[dict[str, Any], str]:
    """Return the split, and why it is the one."""
    column = tables.interactions.columns.get("split")
    if column is not None and {"train", "test"} <= set(column.counts) <= PARTS.keys():
        cold = {} if tables.cold_file is None else {"cold": tables.cold_file}
        return {"kind": "given", "column": "split"} | cold, "the interactions have a column split"
    kind = "by_time" if has_times else "held_out_ids"
    why = "the latest rows test" if has_times else "no timestamps: pairs are drawn"
    split: dict[str, Any] = {"kind": kind}
    hidden = {}
    for side in SIDES:
        split[f"cold_{side}s"] = 0.15 if described[side] else 0
        if not described[side]:
            why += f"; no {side} is held out, for nothing tells new ones apart"
            hidden[f"{side}s"] = 0
    return split | ({"validation": hidden} if hidden else {}), why
