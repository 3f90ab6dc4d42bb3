"""Parent concepts: which entities belong together, and what the log says of each group."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from export.contract.features import Raw
from export.contract.statistics import Side, Total
from training.ragged import Positions
from training.statistics.log import Log, Rule
from training.statistics.numbers import Numbers, Sums
from training.statistics.timeline import Timelines, at_end, views


@dataclass(frozen=True, eq=False)
class Concepts:
    """The concept of each entity of one side: `words[code[entity]]`, or none where it is -1."""

    words: Sequence[str]  # distinct
    code: NDArray[np.int32]  # [entities]

    @classmethod
    def of(cls, values: Sequence[Raw]) -> "Concepts":
        """Give numbers to the words of a category; None is no concept."""
        number: dict[str, int] = {}
        code = [-1 if v is None else number.setdefault(str(v), len(number)) for v in values]
        return cls(list(number), np.array(code, dtype=np.int32))

    def log(self, log: Log, side: Side) -> Log:
        """Return the log with concepts in place of entities; rows without one do not train."""
        code = self.code[log.ids(side)]
        known, code = code >= 0, np.maximum(code, 0)
        if side == "user":
            return replace(log, user=code, is_train=log.is_train & known)
        return replace(log, item=code, is_train=log.is_train & known)


def of_rows(
    statistic: Total,
    log: Log,
    rule: Rule,
    rows: Positions,
    concepts: Concepts,
    timelines: Timelines,
) -> Numbers:
    """Return what rows of the log see of their concept, without all rows of their own entity."""
    values = np.full(len(rows), np.nan, dtype=np.float32)
    known = np.flatnonzero(concepts.code[log.ids(rule.side)[rows]] >= 0)
    of_all = concepts.log(log, rule.side)
    together = views(of_all, rule, rows[known], Timelines(of_all).of(rule))
    apart = views(log, rule, rows[known], timelines.of(rule))
    for whole, own in zip(together, apart, strict=True):
        others = Sums.of(statistic, log, whole) - Sums.of(statistic, log, own)
        values[known[whole.at]] = others.values(statistic)
    return values


def of_entities(
    statistic: Total, log: Log, rule: Rule, entities: NDArray[np.int32], concepts: Concepts
) -> Numbers:
    """Return what is known of each entity's concept at the end, without its own rows."""
    values = np.full(len(entities), np.nan, dtype=np.float32)
    code = concepts.code[entities]
    known = np.flatnonzero(code >= 0)
    together = at_end(concepts.log(log, rule.side), rule.side, rule.clock, code[known])
    own = at_end(log, rule.side, rule.clock, entities[known])
    others = Sums.of(statistic, log, together) - Sums.of(statistic, log, own)
    values[known] = others.values(statistic)
    return values


def of_concepts(statistic: Total, log: Log, rule: Rule, concepts: Concepts) -> Numbers:
    """Return the statistic of each concept at the end: what an entity without rows has."""
    everything = np.arange(len(concepts.words), dtype=np.int32)
    view = at_end(concepts.log(log, rule.side), rule.side, rule.clock, everything)
    return Sums.of(statistic, log, view).values(statistic)
