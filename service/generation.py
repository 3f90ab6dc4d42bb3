"""A generation: one bundle loaded in a process, with everything that was posted since."""

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np

from export.contract.bundle import Bundle
from export.embedder import Vectors, open_bundle
from export.index.base import VectorIndex, check_vectors
from export.index.cached import open_index
from service.catalogue import Catalogue
from service.delta import Delta
from service.found import Found, merge
from service.ids import Ids
from service.main_index import MainIndex, tuned_index
from service.overlay import Overlay
from service.popular import interleave
from service.records import ItemRecord
from service.store import LogId

__all__ = ["Found", "Generation"]

logger = logging.getLogger(__name__)

THIN_OUT = 1024
"""Delta rows from which on, once half of them are retired, the live ones move to a new delta."""

GONE = -1

DELTA_MANY, TOMBSTONES_MANY = 10_000, 0.15
"""Rows of delta, and share of the main index that is gone, that make a new main index worthwhile:
10,000 rows of 64 cost a search 0.15 ms, and tombstones have to be fetched and dropped."""


@dataclass(frozen=True, slots=True)
class View:
    """What a search sees: the first `rows` rows of the delta, and no change after `tick`."""

    main: MainIndex
    delta: Delta
    rows: int
    tick: int


class Generation:
    """A bundle, its main index, a delta of what came after it, and which items are gone.

    One writer calls `apply`; a search beside it, in whatever thread, sees the state before or after
    a change and never half of it: neither index is changed where a search may look.
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
        self._view = View(MainIndex(ids, bundle.vectors, index), Delta(bundle.schema.dim), 0, 0)
        # id -> its one live row of the delta; once there an id stays, so that a search beside a
        # writer never counts too few of those that it excludes.
        self._places: dict[str, int] = {}

    @classmethod
    def load(cls, folder: Path) -> "Generation":
        """Read, check and index a bundle; heavy, and leaves no session and no thread behind.

        Raises:
            BundleError: Anything is wrong with it, its golden queries included; names the member.

        """
        bundle, _ = open_bundle(folder)
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
        return self.main_size + self._view.delta.live

    def __contains__(self, one: object) -> bool:
        """Say whether an item is served."""
        return one in self._overlay

    @property
    def delta_size(self) -> int:
        """Rows of the delta, those that await thinning out too."""
        return len(self._view.delta)

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
        many = TOMBSTONES_MANY * len(self._view.main)
        return self.delta_size >= DELTA_MANY or self.tombstones > many

    def compact(self, *, threads: int | None = None) -> None:
        """Build a new main index of all that can be found, tuned as the bundle's was.

        Heavy, so for a process that serves nobody yet.
        """
        view = self._view
        rows, places = view.main.live_rows(), view.delta.live_rows()
        ids = Ids(view.main.ids.take(rows) + [view.delta.ids[place] for place in places.tolist()])
        vectors = np.concatenate([view.main.vectors[rows], view.delta.vectors(places)])
        index = tuned_index(self.bundle, vectors, threads)
        self._places = {}
        self._view = View(MainIndex(ids, vectors, index), Delta(self.schema.dim), 0, view.tick)
        logger.info("main index rebuilt", extra={"version": self.version, "items": len(ids)})

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
        view = self._view
        main = view.main
        sets = [_as_set(ids) for ids in excluded]
        known = [main.ids.rows(ids) for ids in sets]
        asked = [min(k, len(main) + view.rows) for k in ks]
        from_main = main.search(vectors, asked, known, view.tick)
        in_delta = [sum(map(self._places.__contains__, ids)) for ids in sets]
        wide = [k + more for k, more in zip(asked, in_delta, strict=True)]
        from_delta = view.delta.search(vectors, wide, view.rows, view.tick)
        found = []
        for (rows, scores), (places, more), ids, k in zip(
            from_main, from_delta, sets, ks, strict=True
        ):
            posted = [view.delta.ids[place] for place in places.tolist()]
            kept = [at for at, one in enumerate(posted) if one not in ids]
            items = main.ids.take(rows) + [posted[at] for at in kept]
            found.append(merge(items, np.concatenate([scores, more[kept]]), k))
        return found

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
        return Found([one for one, _ in pairs], shares, len(pairs) < k)

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
        delta, tick = self._view.delta, self._view.tick + 1
        if (row := self._view.main.ids.row(item.id)) is not None:
            self._view.main.retire(row, tick)
        if (place := self._places.get(item.id, GONE)) != GONE:
            delta.retire(place, tick)
            self._places[item.id] = GONE
        if item.op == "put" and vector is not None:
            self._places[item.id] = delta.append(item.id, vector)
        self._view = View(self._view.main, delta, len(delta), tick)
        if len(delta) >= THIN_OUT and delta.live * 2 < len(delta):
            self._thin_out()

    def _thin_out(self) -> None:
        """Move the live rows to a new delta; searches under way keep the old one."""
        old = self._view.delta
        new = Delta(self.schema.dim, max(old.live, THIN_OUT))
        for row in old.live_rows().tolist():
            self._places[old.ids[row]] = new.append(old.ids[row], old.vectors(row))
        self._view = replace(self._view, delta=new, rows=len(new))

    @property
    def highest_rev(self) -> int:
        """The highest rev that was applied."""
        return self._overlay.highest_rev

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
        if (place := self._places.get(one, GONE)) != GONE:
            return self._view.delta.vectors(place).copy()
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
