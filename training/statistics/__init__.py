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
    Count,
    Identity,
    Last,
    Profile,
    Rate,
    Side,
    Statistic,
    matches,
)
from training.ragged import Positions, Ragged
from training.statistics.histories import lasts, newest, profiles
from training.statistics.log import FOLDS, Log, Rule, rule_for
from training.statistics.numbers import counts, rates
from training.statistics.timeline import View, at_end, views
from training.statistics.words import ItemWords

Values: TypeAlias = NDArray[np.float32] | Ragged
"""Numbers [rows], NaN where missing; or a row of ids or of weighted words each."""

__all__ = ["FOLDS", "ItemWords", "Log", "Rule", "Values", "as_of_end", "compute", "fit", "rule_for"]


def fit(statistic: Statistic, log: Log) -> Statistic:
    """Fill in what the statistic learns from the train rows: the prior of a smoothed rate.

    Raises DataError if no train row matches.
    """
    if not isinstance(statistic, Rate) or not statistic.smoothing or statistic.prior is not None:
        return statistic
    mask = log.is_train & matches(statistic.where, log.facts(), len(log))
    if not mask.any():
        raise DataError("rate: no train row matches its where, so it has no prior; give one")
    return statistic.model_copy(update={"prior": float(log.label[mask].sum() / mask.sum())})


def compute(
    statistic: Statistic,
    log: Log,
    side: Side,
    rows: Positions,
    *,
    words: ItemWords | None = None,
    exclude_target: bool = True,
) -> Values:
    """Return the statistic of these rows of the log, under the rule of `rule_for`.

    `words` holds the feature a profile is made of. `exclude_target` leaves the row's own pair out
    of `last` and `profile`. Raises ConfigError for a side the statistic does not have, DataError
    for a window without timestamps.
    """
    _check_side(statistic, side)
    rows = np.asarray(rows, dtype=np.int64)
    others, parts = log.others(side), []
    seen = list(views(log, rule_for(log, side, statistic), rows))
    for view in seen:
        target = others[rows[view.at]] if exclude_target else None
        parts.append(_values(statistic, log, side, view, words, target))
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
) -> Values:
    """Return the statistic of these users or items at the end of training: what is exported.

    Windows end just after the last train row. Raises as `compute` does.
    """
    _check_side(statistic, side)
    clock = rule_for(log, side, statistic).clock
    return _values(statistic, log, side, at_end(log, side, clock, entities), words, None)


def _values(
    statistic: Statistic,
    log: Log,
    side: Side,
    view: View,
    words: ItemWords | None,
    target: NDArray[np.int32] | None,
) -> Values:
    match statistic:
        case Count():
            return counts(statistic, log, view)
        case Rate():
            return rates(statistic, log, view)
        case Last():
            return lasts(view, newest(statistic, log, view, log.others(side), target))
        case Identity():
            found = view.present.astype(np.int64)
            return Ragged.of(found, view.entity[view.present], ~view.present)
        case Profile():
            if words is None or len(words.items) <= log.item.max(initial=-1):
                raise ValueError(f"a profile of {statistic.of!r} needs the words of every item")
            events = newest(statistic, log, view, log.others(side), target)
            return profiles(statistic, view, events, words.items)


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
