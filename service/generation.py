"""A generation: one bundle loaded in a process, with everything that was posted since."""

import bisect
import logging
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np

from export.contract.bundle import Bundle
from export.embedder import Vectors, open_bundle
from export.index.base import VectorIndex, check_vectors
from service.catalogue import Catalogue
from service.delta import Delta
from service.found import Found, merge
from service.main_index import MainIndex, open_index
from service.popular import interleave
from service.records import ItemRecord

__all__ = ["Found", "Generation"]

logger = logging.getLogger(__name__)

THIN_OUT = 1024
"""Delta rows from which on, once half of them are retired, the live ones move to a new delta."""


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
        self.highest_rev = 0
        self._view = View(MainIndex(ids, bundle.vectors, index), Delta(bundle.schema.dim), 0, 0)
        self._written: dict[str, ItemRecord] = {}
        self._places: dict[str, int] = {}  # id -> its one live row of the delta
        self._fresh: list[tuple[int, str]] = []  # rev and id of live items no bundle knows

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

    def __len__(self) -> int:
        """Items that can be found."""
        return len(self._view.main) - self.tombstones + self._view.delta.live

    def __contains__(self, one: object) -> bool:
        """Say whether an item is served."""
        if not isinstance(one, str):
            return False
        written = self._written.get(one)
        return one in self.catalogue.ids if written is None else written.op == "put"

    @property
    def delta_size(self) -> int:
        """Rows of the delta, those that await thinning out too."""
        return len(self._view.delta)

    @property
    def tombstones(self) -> int:
        """Rows of the main index that were replaced or removed."""
        return self._view.main.tombstones

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
        in_delta = [sum(one in self._places for one in ids) for ids in sets]
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

        Fresh items are those that the bundle does not know, the last posted first; nobody has
        chosen them yet, so their score is 0. Where one kind runs out the other goes on. The score
        is the share of all interactions, 0..1.
        """
        gone = _as_set(excluded)
        usual = ((one, share) for one, share in self._by_popularity() if one not in gone)
        newest = ((one, 0.0) for _, one in reversed(self._fresh[:]) if one not in gone)
        pairs = interleave(usual, newest, k)
        return Found([one for one, _ in pairs], [share for _, share in pairs], len(pairs) < k)

    def _by_popularity(self) -> Iterator[tuple[str, float]]:
        catalogue = self.catalogue
        for start in range(0, len(catalogue), 256):
            rows = catalogue.by_popularity[start : start + 256]
            shares = catalogue.popularity[rows].tolist()
            for one, share in zip(catalogue.ids.take(rows), shares, strict=True):
                written = self._written.get(one)
                if written is None or written.op == "put":
                    yield one, share

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
        before = self._written.get(item.id)
        self._written[item.id] = item
        self.highest_rev = max(self.highest_rev, item.rev)
        self._move(item, vector)
        self._note_fresh(before, item)
        return True

    def _move(self, item: ItemRecord, vector: Vectors | None) -> None:
        """Retire the rows of an item and append its new one, all seen at once."""
        delta, tick = self._view.delta, self._view.tick + 1
        if (row := self._view.main.ids.row(item.id)) is not None:
            self._view.main.retire(row, tick)
        if (place := self._places.pop(item.id, None)) is not None:
            delta.retire(place, tick)
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
            self._places[old.ids[row]] = new.append(old.ids[row], old.vector(row))
        self._view = replace(self._view, delta=new, rows=len(new))

    def _note_fresh(self, before: ItemRecord | None, item: ItemRecord) -> None:
        if item.id in self.catalogue.ids:
            return
        if before is not None and before.op == "put":
            del self._fresh[bisect.bisect_left(self._fresh, (before.rev, before.id))]
        if item.op == "put":
            bisect.insort(self._fresh, (item.rev, item.id))

    def known_rev(self, one: str) -> int:
        """Return the rev of the newest change of an item that was applied; 0 if there is none."""
        written = self._written.get(one)
        return 0 if written is None else written.rev

    def served(self, item: ItemRecord) -> ItemRecord:
        """Lay a written item over the bundle's, group by group.

        What was written wins: content that was written, and preference that was written. (A bundle
        that tells up to which log id its statistics go will win over older ones; none does yet.)
        """
        row = self.catalogue.ids.row(item.id)
        if row is None or item.op == "delete":
            return item
        if item.content is not None and item.preference is not None:
            return item
        content, preference = self.catalogue.groups(row)
        return replace(
            item,
            content=content if item.content is None else item.content,
            preference=preference if item.preference is None else item.preference,
        )

    def get(self, one: str) -> ItemRecord | None:
        """Return an item as it is served; None if it is unknown or removed."""
        if one not in self:
            return None
        return self.served(self._written.get(one) or ItemRecord(one, 0, "put"))

    def vector(self, one: str) -> Vectors | None:
        """Return float32[dim] of an item; None if it is unknown or removed."""
        if (place := self._places.get(one)) is not None:
            return self._view.delta.vector(place).copy()
        row = self._view.main.ids.row(one) if one in self else None
        return None if row is None else self._view.main.vectors[row]

    def words(self, feature: str, one: str) -> Mapping[str, float] | Iterable[str] | None:
        """Return the words of one item feature, for folds; None for an item not served."""
        if one not in self:
            return None
        written = self._written.get(one)
        row = self.catalogue.ids.row(one)
        if written is None and row is not None:
            return self.catalogue.words(feature, row)
        value = self.served(self._written[one]).record.get(feature)
        return self.schema.item.features[feature].words(value)


def _as_set(ids: Collection[str]) -> Set[str]:
    return ids if isinstance(ids, Set) else frozenset(ids)
