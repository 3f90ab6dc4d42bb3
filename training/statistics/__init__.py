"""Declared preference statistics of whole tables: what the fold of the contract gives, at once.

Only train rows are ever read. A train row sees what its rule lets it see; any other row, and an
entity at the end of training, sees all train rows, because that is what a service knows.
"""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from export.contract.errors import ConfigError, DataError
from export.contract.statistics import (
    Distinct,
    GivenVectors,
    Identity,
    Last,
    Profile,
    Side,
    Smoothed,
    Statistic,
    Total,
    matches,
)
from training.ragged import Positions, Ragged
from training.statistics.concepts import Concepts, of_concepts, of_entities, of_rows
from training.statistics.distinct import distincts
from training.statistics.histories import lasts, newest, profiles
from training.statistics.item_vectors import Vectors, means
from training.statistics.log import FOLDS, Log, Rule, rule_for
from training.statistics.numbers import Numbers, Sums
from training.statistics.parts import Part, in_parts
from training.statistics.timeline import Timelines, View, at_end, views
from training.statistics.words import ItemWords

Values: TypeAlias = Numbers | Vectors | Ragged
"""Numbers [rows] or vectors [rows, size], NaN where missing; or a row of ids or words each."""

__all__ = [
    "FOLDS",
    "Concepts",
    "ItemWords",
    "Log",
    "Part",
    "Rule",
    "Timelines",
    "Values",
    "as_of_end",
    "by_concept",
    "compute",
    "fit",
    "in_parts",
    "rule_for",
]


def fit(statistic: Statistic, log: Log) -> Statistic:
    """Fill in what the statistic learns from the train rows: the prior of a smoothed one.

    Raises DataError if no train row matches.
    """
    if not isinstance(statistic, Smoothed) or not statistic.smoothing:
        return statistic
    if statistic.prior is not None:
        return statistic
    mask = log.is_train & matches(statistic.where, log.facts(), len(log))
    totals = statistic.addends(log.facts(), len(log))[:, mask].sum(axis=1)
    if not totals[0]:
        raise DataError(
            f"{statistic.aggregate}: no train row matches its where, so it has no prior; give one"
        )
    prior = float(statistic.amount(totals) / totals[0])
    return statistic.model_copy(update={"prior": prior})


def compute(
    statistic: Statistic,
    log: Log,
    side: Side,
    rows: Positions,
    *,
    words: ItemWords | None = None,
    concepts: Concepts | None = None,
    vectors: Vectors | None = None,
    exclude_target: bool = True,
    timelines: Timelines | None = None,
) -> Values:
    """Return the statistic of these rows of the log, under the rule of `rule_for`.

    `words` holds the item feature that `words_of` names, `vectors` the file that `vectors_of` names
    ([items, size] for a user, [users, size] for an item, NaN for none), `concepts` what `by` names.
    `exclude_target` leaves the row's own pair out of histories. `timelines` of the log are sorted
    anew unless given. Raises ConfigError for a side the
    statistic does not have, DataError for a window without timestamps.
    """
    _check_side(statistic, side)
    timelines = timelines or Timelines(log)
    rows, rule = np.asarray(rows, dtype=np.int64), rule_for(log, side, statistic)
    if isinstance(statistic, Total) and statistic.by is not None:
        return of_rows(statistic, log, rule, rows, _given(concepts, statistic), timelines)
    others, parts = log.others(side), []
    seen = list(views(log, rule, rows, timelines.of(rule)))
    for view in seen:
        target = others[rows[view.at]] if exclude_target else None
        parts.append(_values(statistic, log, side, view, words, vectors, target))
    place = np.empty(len(rows), dtype=np.int64)
    place[np.concatenate([view.at for view in seen])] = np.arange(len(rows))
    return _joined(parts, place)


def as_of_end(
    statistic: Statistic,
    log: Log,
    side: Side,
    entities: NDArray[np.int32],
    *,
    words: ItemWords | None = None,
    concepts: Concepts | None = None,
    vectors: Vectors | None = None,
) -> Values:
    """Return the statistic of these users or items at the end of training: what is exported.

    Windows end just after the last train row. Raises as `compute` does.
    """
    _check_side(statistic, side)
    rule = rule_for(log, side, statistic)
    if isinstance(statistic, Total) and statistic.by is not None:
        return of_entities(statistic, log, rule, entities, _given(concepts, statistic))
    view = at_end(log, side, rule.clock, entities)
    return _values(statistic, log, side, view, words, vectors, None)


def by_concept(statistic: Total, log: Log, side: Side, concepts: Concepts) -> Numbers:
    """Return a statistic with `by` of each concept at the end of training, NaN where missing.

    It is that of an entity with no rows of its own: what a new one is given.
    """
    return of_concepts(statistic, log, rule_for(log, side, statistic), concepts)


def _values(
    statistic: Statistic,
    log: Log,
    side: Side,
    view: View,
    words: ItemWords | None,
    vectors: Vectors | None,
    target: NDArray[np.int32] | None,
) -> Values:
    others = log.others(side)
    match statistic:
        case Total():
            return Sums.of(statistic, log, view).values(statistic)
        case Distinct():
            return distincts(statistic, log, view, others, _items(words, statistic, log))
        case Last():
            return lasts(view, newest(statistic, log, view, others, target))
        case GivenVectors():
            if vectors is None or len(vectors) <= others.max(initial=-1):
                raise ValueError(f"{statistic.aggregate} of {statistic.vectors!r}: a vector of all")
            return means(newest(statistic, log, view, others, target), vectors)
        case Identity():
            found = view.present.astype(np.int64)
            return Ragged.of(found, view.entity[view.present], ~view.present)
        case Profile():
            items = _items(words, statistic, log)
            assert items is not None
            return profiles(statistic, view, newest(statistic, log, view, others, target), items)


def _items(words: ItemWords | None, statistic: Statistic, log: Log) -> Ragged | None:
    if statistic.words_of is None:
        return None
    if words is None or len(words.items) <= log.item.max(initial=-1):
        raise ValueError(f"{statistic.aggregate} of {statistic.words_of!r}: words of every item")
    return words.items


def _given(concepts: Concepts | None, statistic: Total) -> Concepts:
    if concepts is None:
        raise ValueError(f"{statistic.aggregate} by {statistic.by!r} needs the concepts")
    return concepts


def _joined(parts: Sequence[Values], place: Positions) -> Values:
    ragged = [part for part in parts if isinstance(part, Ragged)]
    if ragged:
        return Ragged.concat(ragged).take(place)
    numbers = np.concatenate([part for part in parts if not isinstance(part, Ragged)])
    joined: NDArray[np.float32] = numbers[place]
    return joined


def _check_side(statistic: Statistic, side: Side) -> None:
    if side not in statistic.sides:
        raise ConfigError(
            f"{side}.preference: aggregate {statistic.aggregate!r} is of a "
            f"{' or '.join(statistic.sides)}, not of an {side}; declare it there"
        )
