"""Timelines: the train rows of each entity in order, and how much of it a row may see."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.contract.statistics import Side, Windowed
from training.ragged import Integers, Mask, Positions, offsets
from training.statistics.log import FOLDS, Clock, Log, Rule


@dataclass(frozen=True, eq=False)
class Timeline:
    """The train rows, sorted by entity, then moment, then row; a position is a place in it.

    Moments are kept as ranks, so that entity and moment make one whole number to search for,
    exact whatever the clock reads. The rank after the last moment is the end of training.
    """

    rows: Positions  # [m] rows of the log
    keys: Positions  # [m] entity * (moments + 1) + rank of the moment
    rank: Positions  # [rows of the log] rank of the moment each row asks at
    before: Positions  # [rows of the log] of a train row: its entity's first event at its moment
    moments: NDArray[Any]  # [r] distinct readings of the clock, ascending; one if there is none

    @classmethod
    def of(cls, log: Log, side: Side, clock: Clock | None) -> "Timeline":
        """Sort the train rows of one side; without a clock, rows follow each other as they lie."""
        rows = np.flatnonzero(log.is_train)
        moments, ranks = np.zeros(1), np.zeros(len(rows), dtype=np.int64)
        if clock is not None:
            moments, ranks = np.unique(log.moments(clock)[rows], return_inverse=True)
        rank = np.full(len(log), len(moments))
        rank[rows] = ranks
        keys = log.ids(side)[rows] * np.int64(len(moments) + 1) + ranks
        order = np.argsort(keys, kind="stable")
        rows, keys = rows[order], keys[order]
        first = np.diff(keys, prepend=-1) > 0
        before = np.full(len(log), -1)
        before[rows] = np.maximum.accumulate(np.where(first, np.arange(len(keys)), 0))
        return cls(rows, keys, rank, before, moments)

    def only(self, mask: Mask) -> "Timeline":
        """Return the timeline of these of its positions."""
        return replace(self, rows=self.rows[mask], keys=self.keys[mask])

    @property
    def entity(self) -> Positions:
        """The entity at each position."""
        entity: Positions = self.keys // np.int64(len(self.moments) + 1)
        return entity

    @cached_property
    def _bounds(self) -> Positions:
        return offsets(np.append(np.bincount(self.entity), 0))

    def start(self, entity: Integers) -> Positions:
        """Return the position of each entity's first event."""
        return self._bounds[np.minimum(entity, len(self._bounds) - 2)]

    def end(self, entity: Integers) -> Positions:
        """Return the position after each entity's last event."""
        return self.start(entity + 1)

    def reach(self, entity: Integers, rank: Integers) -> Positions:
        """Return the position of each entity's first event at this moment or after it."""
        return np.searchsorted(self.keys, entity * np.int64(len(self.moments) + 1) + rank)


@dataclass(frozen=True, eq=False)
class View:
    """What some queries may see: of `timeline`, the positions from `start` up to `stop`."""

    at: Positions  # [q] which of the asked rows these are
    timeline: Timeline
    entity: NDArray[np.int32]  # [q]
    rank: Positions  # [q] of the moment asked at
    start: Positions  # [q]
    stop: Positions  # [q]

    @property
    def present(self) -> Mask:
        """Whether there is anything to see: the one condition of a statistic's presence."""
        return self.stop > self.start

    def opening(self, log: Log, statistic: Windowed) -> Positions:
        """Return the position at which the statistic's window opens, by timestamps."""
        if statistic.window_s is None:
            return self.start
        asked = np.append(self.timeline.moments, log.end)
        rank = np.searchsorted(self.timeline.moments, asked - statistic.window_s)
        return self.timeline.reach(self.entity, rank[self.rank])


def at_end(log: Log, side: Side, clock: Clock | None, entity: NDArray[np.int32]) -> View:
    """See all train rows of each entity, as a service does."""
    return _whole(Timeline.of(log, side, clock), np.arange(len(entity)), entity)


class Timelines:
    """The timelines of one log, each sorted once for all statistics that are computed with it."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self._sorted: dict[tuple[Side, Clock | None], Timeline] = {}

    def of(self, rule: Rule) -> Timeline:
        """Return the timeline that a rule goes by."""
        key = rule.side, rule.clock
        if key not in self._sorted:
            self._sorted[key] = Timeline.of(self.log, *key)
        return self._sorted[key]


def views(log: Log, rule: Rule, rows: Positions, timeline: Timeline) -> Iterator[View]:
    """See what the rule lets each of these rows of the log see; every row is in one view."""
    entity = log.ids(rule.side)[rows]
    if rule.kind == "point_in_time":
        rank, before = timeline.rank[rows], timeline.before[rows]
        start, stop = timeline.start(entity), timeline.end(entity)
        stop = np.where(before < 0, stop, before)
        yield View(np.arange(len(rows)), timeline, entity, rank, start, stop)
        return
    fold = np.where(log.is_train[rows], log.fold[rows], FOLDS)
    for own in range(FOLDS + 1):  # the last is of no fold, and sees them all
        at = np.flatnonzero(fold == own)
        yield _whole(timeline.only(log.fold[timeline.rows] != own), at, entity[at])


def _whole(timeline: Timeline, at: Positions, entity: NDArray[np.int32]) -> View:
    rank = np.full(len(at), len(timeline.moments))
    return View(at, timeline, entity, rank, timeline.start(entity), timeline.end(entity))
