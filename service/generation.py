"""A generation: one bundle loaded in a process, with everything that was posted since."""

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np

from export.contract.bundle import Bundle
from export.embedder import Vectors, open_bundle
from export.index.base import VectorIndex, check_vectors
from export.index.cached import open_index
from service.catalogue.overlay import Overlay
from service.catalogue.popular import interleave
from service.catalogue.table import Catalogue
from service.index.delta import Delta
from service.index.found import Found
from service.index.growth import Growing, Growth
from service.index.main_index import MainIndex
from service.index.view import View
from service.records import ItemRecord
from service.store import LogId, Position

__all__ = ["Found", "Generation"]

logger = logging.getLogger(__name__)

THIN_OUT = 1024
"""Delta rows from which on, once half of them are retired, the live ones move to a new delta."""

GROW_AT = 10_000
"""Delta rows from which on the live ones, half of them or more, go into a graph: to compare so many
costs a search about as much as to walk a graph of them (dim 64: 0.15 ms), see
`benchmarks/compaction.py`."""

RECENT_MANY, RECENT_LEAST = 0.1, 20_000
"""Rows of the recent index, as a share of the main one and at least, that should go into the main
one: those are shared by all workers of a machine, these are in the memory of each, and twice."""


class Generation:
    """A bundle, its main index, a recent index and a delta of what came since, and what is gone.

    One writer calls `apply`, `begin_growth` and `finish_growth`; a search beside it, in whatever
    thread, sees the state before or after a change and never half of it: no index is changed where
    a search may look.
    """

    def __init__(self, bundle: Bundle, index: VectorIndex) -> None:
        self.version = bundle.version
        self.schema = bundle.schema
        self.catalogue = Catalogue(bundle)
        # The same ids in a form that forked workers can share.
        ids = self.catalogue.ids
        self.bundle = replace(bundle, ids=cast(list[str], ids), records=self.catalogue.table)
        log_id = bundle.manifest.lineage.log_id
        as_of = None if log_id is None else LogId.parse(log_id)
        self._overlay = Overlay(self.catalogue, bundle.schema.item, as_of, bundle.concepts)
        self._begin_from(MainIndex(ids, bundle.vectors, index), 0)
        self.position: Position | None = None
        """Up to where every entry of the item log is applied; None: nothing of it was read."""
        self.is_ahead = False
        """Whether a snapshot told of what the store may have lost; until they were compared."""

    def _begin_from(self, main: MainIndex, tick: int) -> None:
        """Serve what is in a main index, with nothing beside it."""
        dim, report = self.bundle.schema.dim, self.bundle.manifest.index
        self._recent_many = max(RECENT_LEAST, int(RECENT_MANY * len(main)))
        self._growing = Growing.empty(report, dim, room=0)
        self._growth: Growth | None = None
        self._view = View(main, self._growing.recent, Delta(dim), 0, tick)

    @classmethod
    def load(cls, folder: Path) -> "Generation":
        """Read, check and index a bundle; heavy, and leaves no session and no thread behind.

        Raises:
            BundleError: Anything is wrong with it, its golden queries included; names the member.

        """
        bundle, _ = open_bundle(folder, opens_index=True)
        generation = cls(bundle, open_index(bundle))
        facts = {"version": generation.version, "items": len(generation)}
        logger.info("generation loaded", extra=facts)
        return generation

    @property
    def ranker(self) -> str | None:
        """The kind of the bundle's ranker; None: it has none."""
        ranked = self.bundle.ranker
        return None if ranked is None else ranked.facts.kind

    def __len__(self) -> int:
        """Items that can be found."""
        view = self._view
        return self.main_size + view.recent.arrivals.live + view.delta.live

    def __contains__(self, one: object) -> bool:
        """Say whether an item is served."""
        return one in self._overlay

    @property
    def delta_size(self) -> int:
        """Rows of the delta, those that await thinning out too."""
        return len(self._view.delta)

    @property
    def recent_size(self) -> int:
        """Items that the recent index finds."""
        return self._view.recent.arrivals.live

    @property
    def tombstones(self) -> int:
        """Rows of the main index that were replaced or removed."""
        return self._view.main.tombstones

    @property
    def main_size(self) -> int:
        """Items that the main index finds."""
        return len(self._view.main) - self.tombstones

    @property
    def has_grown(self) -> bool:
        """Whether so much has changed that a new main index should take the place of this one."""
        return len(self._view.recent) > self._recent_many or self._view.main.is_worn

    @property
    def awaits_growth(self) -> bool:
        """Whether the delta is so long that its live rows should go into a graph."""
        return self.delta_size >= GROW_AT

    def compact(self, *, threads: int | None = None) -> None:
        """Take all that can be found into the main index, whose recall stays at its target.

        In proportion to what is new, unless much is gone; still for a process that serves nobody
        yet.
        """
        view = self._view
        parts = [(part, part.live_rows()) for part in (view.recent.arrivals, view.delta)]
        ids = [part.ids[row] for part, rows in parts for row in rows.tolist()]
        vectors = np.concatenate([part.vectors(rows) for part, rows in parts])
        report = self.bundle.manifest.index
        self._begin_from(view.main.with_more(ids, vectors, report, threads), view.tick)
        # The main index has its own now; nobody must hold the bundle's in memory beside them.
        none = np.empty((0, self.schema.dim), np.float32)
        self.bundle = replace(self.bundle, vectors=none)
        facts = {"version": self.version, "items": len(self), "new": len(ids)}
        logger.info("main index compacted", extra=facts)

    def begin_growth(self, patience: float = 1.0) -> Growth | None:
        """Return the next step of growth, to be built; None where nothing is to be done by now.

        Only one step at a time: it ends with `finish_growth` or `drop_growth`. With `patience` over
        1 so many times as much has to have gathered.

        Raises:
            NoRoom: The main index should have taken in long ago what is there.

        """
        if self._growth is not None or self.delta_size < patience * GROW_AT:
            return None
        # Long before there is no room left the main index takes all in.
        room = 2 * self._recent_many
        self._growth = Growth.begin(self._growing, self._view.delta, room)
        return self._growth

    def finish_growth(self, growth: Growth) -> None:
        """Serve from the recent index what was built into it, all seen at once."""
        self._growing, delta = growth.finish()
        self._growth = None
        view = self._view
        self._view = View(view.main, self._growing.recent, delta, len(delta), view.tick)
        facts = {"version": self.version, "items": self.recent_size, "new": len(growth.ids)}
        logger.info("recent index grown", extra=facts)

    def drop_growth(self) -> None:
        """Give up the step that was begun and not finished; nothing of it was served."""
        self._growth = None

    @property
    def view(self) -> View:
        """What a search sees now; whatever is changed later, it stays what it is."""
        return self._view

    def lay_out(self, places: Mapping[str, int], rows: int) -> None:
        """Put the live rows of the delta in these places of so many, retired ones in the others.

        In what place a row is changes the last bit of its score. For a process that serves nobody.
        """
        at = {place: one for one, place in places.items()}
        old, new = self._view.delta, Delta(self.schema.dim)
        for place in range(rows):
            one = at.get(place)
            if one is None:
                new.retire(new.append("", np.zeros(self.schema.dim, np.float32)), 1)
            else:
                new.append(one, old.vectors(np.array([old.row(one)]))[0])
        self._view = replace(self._view, delta=new, rows=rows)

    def search(
        self, vectors: Vectors, ks: Sequence[int], excluded: Sequence[Collection[str]]
    ) -> list[Found]:
        """Return for each vector [b, dim] its k nearest items, best first, equal ones by id.

        Excluded ids that nobody knows are no error.

        Raises:
            VectorError: A vector is not float32[dim], finite and of unit length.

        """
        check_vectors(vectors, self.schema.dim, "query")
        if not len(vectors):
            return []
        return self._view.search(vectors, ks, [_as_set(ids) for ids in excluded])

    def popular(self, k: int, excluded: Collection[str]) -> Found:
        """Return the most popular items, and in every tenth place a fresh one.

        The score is the share of all interactions, 0..1. Fresh items are those that the bundle does
        not know, last posted first; their score is 0. Where one kind runs out the other goes on.
        """
        gone = _as_set(excluded)
        usual = (pair for pair in self._overlay.by_popularity() if pair[0] not in gone)
        fresh = (pair for pair in self._overlay.fresh() if pair[0] not in gone)
        pairs = interleave(usual, fresh, k)
        shares = np.array([share for _, share in pairs], np.float32)
        return Found.of([one for one, _ in pairs], shares, exhausted=len(pairs) < k)

    def apply(self, item: ItemRecord, vector: Vectors | None) -> bool:
        """Take over a change, if it is newer than what is known; say whether it was.

        Any order of the same changes, with repeats, ends in the same state.

        Args:
            item: As written, that is with the groups that were written only.
            vector: float32[dim] of a put, of the record that `served` gives.

        Raises:
            VectorError: The vector of a put is missing, not finite or not of unit length.

        """
        if item.rev <= self.known_rev(item.id):
            return False
        if item.op == "put":
            given = np.empty(0, np.float32) if vector is None else vector
            check_vectors(given[None], self.schema.dim, f"vector of item {item.id!r}")
        self._overlay.write(item)
        self._move(item, vector)
        return True

    def _move(self, item: ItemRecord, vector: Vectors | None) -> None:
        """Retire the rows of an item and append its new one, all seen at once."""
        view = self._view
        delta, tick = view.delta, view.tick + 1
        if (row := view.main.ids.row(item.id)) is not None:
            view.main.retire(row, tick)
        for part in (view.recent.arrivals, delta):
            if (row := part.row(item.id)) is not None:
                part.retire(row, tick)
        if item.op == "put" and vector is not None:
            delta.append(item.id, vector)
        is_thin = len(delta) >= THIN_OUT and delta.live * 2 < len(delta)
        if is_thin and self._growth is None:
            delta = delta.rest()  # searches under way keep the old one
        self._view = replace(view, delta=delta, rows=len(delta), tick=tick)

    @property
    def highest_rev(self) -> int:
        """The highest rev that was applied."""
        return self._overlay.highest_rev

    @property
    def changes(self) -> int:
        """How many items were changed since the bundle, removed ones too."""
        return len(self._overlay)

    @property
    def checksum(self) -> str:
        """Ids and revs of these changes in 16 digits; equal where the same changes are known."""
        return str(self._overlay.checksum)

    def changed(self) -> list[str]:
        """Return the ids of these changes."""
        return self._overlay.changed()

    def change(self, one: str) -> ItemRecord | None:
        """Return the newest change of an item as it was written, be it its removal."""
        return self._overlay.change(one)

    def known_rev(self, one: str) -> int:
        """Return the rev of the newest change of an item that was applied; 0 if there is none."""
        return self._overlay.known_rev(one)

    def written(self, one: str) -> ItemRecord | None:
        """Return the groups of an item that were written and not removed since; None: none."""
        return self._overlay.written(one)

    def served(self, item: ItemRecord) -> ItemRecord:
        """Return a written item as it would be served: over the bundle's, group by group."""
        return self._overlay.served(item)

    def get(self, one: str) -> ItemRecord | None:
        """Return an item as it is served; None if it is unknown or removed."""
        return self._overlay.get(one)

    def base(self, one: str) -> ItemRecord | None:
        """Return an item as it is served less what its concepts tell: what a patch merges into."""
        return self._overlay.base(one)

    def vector(self, one: str) -> Vectors | None:
        """Return float32[dim] of an item; None if it is unknown or removed."""
        for part in (self._view.recent.arrivals, self._view.delta):
            if (place := part.row(one)) is not None:
                return part.vectors(place).copy()
        row = self._view.main.ids.row(one) if one in self else None
        return None if row is None else self._view.main.vectors[row]

    def words(self, feature: str, one: str) -> Mapping[str, float] | Iterable[str] | None:
        """Return the words of one item feature, for folds; None for an item not served."""
        return self._overlay.words(feature, one)

    def given_vector(self, feature: str, one: str) -> list[float] | None:
        """Return an item's vector behind a user's feature, for folds; None for one not served."""
        return self._overlay.given_vector(feature, one)


def _as_set(ids: Collection[str]) -> Set[str]:
    return ids if isinstance(ids, Set) else frozenset(ids)
