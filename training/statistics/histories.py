"""`last` and `profile` of many rows at once: the newest events of each, gathered in chunks."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.contract.statistics import Profile, Recent, matches
from training.ragged import Integers, Positions, Ragged, offsets, spans
from training.statistics.log import Log
from training.statistics.timeline import View

EVENTS_PER_CHUNK = 2_000_000  # bounds what is held at a time beside the result
WHOLE = 2.0**63  # what an int64 holds


@dataclass(frozen=True, eq=False)
class Newest:
    """The newest events of some queries: `others[start:stop]`, oldest first, or fewer of them.

    Where a query's target stands among its events, the span is longer by as many, and `target`
    says what to leave out; elsewhere it is -1.
    """

    n: int
    others: NDArray[np.int32]  # [m] the other side of each event
    start: Positions  # [q]
    stop: Positions  # [q]
    target: NDArray[np.int64]  # [q]

    def only(self, queries: Positions) -> "Newest":
        """Return what these of the queries see."""
        start, stop, target = self.start[queries], self.stop[queries], self.target[queries]
        return replace(self, start=start, stop=stop, target=target)

    def chunks(self, size: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int32]]]:
        """Yield how many events each query has, and all of these; about `size` events at a time."""
        ends = np.cumsum(self.stop - self.start)
        first = 0
        while first < len(ends):
            done = ends[first - 1] if first else 0
            last = int(np.searchsorted(ends, done + size, side="right"))
            last = max(last, first + 1)
            yield self._chunk(slice(first, last))
            first = last

    def _chunk(self, part: slice) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        start, target = self.start[part], self.target[part]
        lengths = self.stop[part] - start
        events = self.others[spans(start, lengths)]
        if not (target >= 0).any():
            return lengths, events
        keep = events != np.repeat(target, lengths)
        left = offsets(keep)  # [entries + 1] how many are kept before each
        indptr = offsets(lengths)
        total = left[indptr[1:]] - left[indptr[:-1]]
        keep &= np.repeat(left[indptr[1:]], lengths) - left[:-1] <= self.n
        return np.minimum(total, self.n), events[keep]


def newest(
    statistic: Recent, log: Log, view: View, others: NDArray[np.int32], target: Integers | None
) -> Newest:
    """Find the newest events of each query of a view that match, without those of its target."""
    mask = matches(statistic.where, log.facts(), len(log))[view.timeline.rows]
    place = offsets(mask)  # position among all events -> position among those that match
    rows = view.timeline.rows[mask]
    stop, first = place[view.stop], place[view.start]
    events = others[rows]
    hidden, left_out = np.zeros_like(stop), np.full_like(stop, -1)
    if target is not None:
        entity = view.timeline.entity[mask]
        hidden = _times_before(entity, events, view.entity, target, stop)
        left_out = np.where(hidden > 0, target, np.int64(-1))
    start = np.maximum(first, stop - statistic.n - hidden)
    return Newest(statistic.n, events, start, stop, left_out)


def _times_before(
    entity: Positions, other: NDArray[np.int32], asked: Integers, target: Integers, stop: Positions
) -> NDArray[np.int64]:
    """Count the events of each asked pair of entity and target at positions below `stop`."""
    times = np.zeros(len(asked), dtype=np.int64)
    if not len(entity) or not len(asked):
        return times
    width = np.int64(max(other.max(), target.max()) + 1)
    pair = entity * width + other
    order = np.argsort(pair, kind="stable")  # events of one pair lie together, each after the last
    pair = pair[order]
    new = np.diff(pair, prepend=-1) > 0
    first = np.flatnonzero(new)
    sought = asked * width + target
    found = np.minimum(np.searchsorted(pair[first], sought), len(first) - 1)
    met = np.flatnonzero((pair[first[found]] == sought) & (order[first[found]] < stop))
    found = found[met]
    beyond = np.int64(len(entity) + 1)
    keys = (np.cumsum(new) - 1) * beyond + order
    times[met] = np.searchsorted(keys, found * beyond + stop[met]) - first[found]
    return times


def lasts(view: View, events: Newest) -> Ragged:
    """Return the other side's indices in the newest events of each query, newest last."""
    chunks = list(events.chunks(EVENTS_PER_CHUNK))
    if not chunks:
        return _nothing(weighted=False)
    lengths = np.concatenate([lengths for lengths, _ in chunks])
    return Ragged.of(lengths, np.concatenate([values for _, values in chunks]), ~view.present)


def profiles(statistic: Profile, view: View, events: Newest, items: Ragged) -> Ragged:
    """Return the heaviest words of each query's newest events, heaviest first.

    Queries that see the same events share the work: all exposures between two clicks do.
    """
    alone = 2 * (len(events.others) + 1) + np.arange(len(events.start))
    shared = np.where(events.stop > events.start, 2 * events.stop + 1, 0)
    key = np.where(events.target >= 0, alone, shared)
    _, first, which = np.unique(key, return_index=True, return_inverse=True)
    carried = _without_repeats(items)
    longest = int(carried.lengths.max(initial=1))
    bags = [
        _bags(carried, lengths, seen, statistic.words)
        for lengths, seen in events.only(first).chunks(max(EVENTS_PER_CHUNK // longest, 1))
    ]
    if not bags:
        return _nothing(weighted=True)
    return replace(Ragged.concat(bags).take(which), missing=~view.present)


def _nothing(weighted: bool) -> Ragged:
    none = Ragged.of(np.zeros(0, np.int64), np.zeros(0, np.int32))
    return replace(none, weights=np.zeros(0, np.float32)) if weighted else none


def _bags(
    carried: Ragged, lengths: NDArray[np.int64], items: NDArray[np.int32], keep: int
) -> Ragged:
    """Add up the words of each query's items, and keep the heaviest."""
    entries = carried.take(items)
    query = np.repeat(np.repeat(np.arange(len(lengths)), lengths), entries.lengths)
    query, word, weight = _heaviest_first(*_added(query, entries.values, entries.weights))
    place = np.arange(len(query)) - offsets(np.bincount(query, minlength=len(lengths)))[query]
    kept = place < keep
    query, word, weight = query[kept], word[kept], weight[kept]
    bags = Ragged.of(np.bincount(query, minlength=len(lengths)), word)
    return replace(bags, weights=weight.astype(np.float32))


def _heaviest_first(
    row: Positions, word: Positions, weight: NDArray[np.float64]
) -> tuple[Positions, Positions, NDArray[np.float64]]:
    """Sort the words of each row by weight; equal weights stay in the order of their words.

    Counts are sorted with row and word in one whole number, in a third of the time.
    """
    with np.errstate(invalid="ignore"):  # what no int64 holds differs from what becomes of it
        count = weight.astype(np.int64)
    most, width = count.max(initial=0), np.int64(word.max(initial=0) + 1)
    fits = float(row.max(initial=0) + 1) * (float(most) + 1) * float(width) < WHOLE
    if not fits or count.min(initial=0) < 0 or (count != weight).any():
        order = np.lexsort((-weight, row))
        return row[order], word[order], weight[order]
    key = (row * (most + 1) + most - count) * width + word
    key.sort()
    key, word = np.divmod(key, width)
    row, fewer = np.divmod(key, most + 1)
    return row, word, (most - fewer).astype(np.float64)


def _without_repeats(items: Ragged) -> Ragged:
    """Make each item carry a word once: a repeat says nothing new, but weights add up."""
    row, word, weight = _added(
        np.repeat(np.arange(len(items)), items.lengths), items.values, items.weights
    )
    once = Ragged.of(np.bincount(row, minlength=len(items)), word)
    return once if items.weights is None else replace(once, weights=weight.astype(np.float32))


def _added(
    row: Positions, word: NDArray[np.int32], weights: NDArray[Any] | None
) -> tuple[Positions, Positions, NDArray[np.float64]]:
    """Add up what each row gives each word, in the order it comes: rows and words ascending.

    The order matters to the last bit: the fold adds event by event, in float64, and so does
    bincount. Without weights each entry counts 1, and a plain sort will do.
    """
    width = np.int64(word.max(initial=0) + 1)
    key = row * width + word
    if weights is None:
        key.sort()
    else:
        order = np.argsort(key, kind="stable")
        key, weights = key[order], weights[order]
    new = np.ones(len(key), dtype=bool)
    new[1:] = key[1:] != key[:-1]
    begin = np.flatnonzero(new)
    added = np.diff(begin, append=len(key)).astype(np.float64)
    if weights is not None:
        added = np.bincount(np.cumsum(new) - 1, weights=weights).astype(np.float64, copy=False)
    rows, words = np.divmod(key[begin], width)
    return rows, words, added
