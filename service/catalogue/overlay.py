"""The overlay: what was written of items, laid over the catalogue of a bundle."""

import bisect
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from export.contract.concepts import ConceptTable
from export.contract.side import Record, Side
from service.catalogue.checksum import Checksum
from service.catalogue.patched import Patched, laid_over
from service.catalogue.popular import Scored
from service.catalogue.table import Catalogue
from service.records import ItemRecord
from service.store import LogId


class Overlay:
    """The newest change of each item, and what is served of it with the bundle's record below.

    as_of: the place in the item log up to which the bundle's preference tells; None: before it.
    concepts: what the bundle knows of the parent concepts of items.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        side: Side,
        as_of: LogId | None = None,
        concepts: ConceptTable | None = None,
    ) -> None:
        self._catalogue = catalogue
        self._side = side
        self._as_of = as_of
        self._concepts = concepts if side.concepts else None
        self._written: dict[str, ItemRecord] = {}
        self._fresh: list[tuple[int, str]] = []  # rev and id of live items no bundle knows
        self.highest_rev = 0
        self.checksum = Checksum()
        """Of the newest change of each item, removals too: what the store has as ids and revs."""

    def __len__(self) -> int:
        """Items that were changed, removed ones too."""
        return len(self._written)

    def __contains__(self, one: object) -> bool:
        """Say whether an item is served."""
        if not isinstance(one, str):
            return False
        written = self._written.get(one)
        return one in self._catalogue.ids if written is None else written.op == "put"

    def written(self, one: str) -> ItemRecord | None:
        """Return the groups of an item that were written and not removed since."""
        written = self._written.get(one)
        return written if written is not None and written.op == "put" else None

    def known_rev(self, one: str) -> int:
        """Return the rev of the newest change of an item; 0 if there is none."""
        written = self._written.get(one)
        return 0 if written is None else written.rev

    def changed(self) -> list[str]:
        """Return the ids of all items that were changed, removed ones too."""
        return list(self._written)

    def change(self, one: str) -> ItemRecord | None:
        """Return the newest change of an item, be it its removal; None: there is none."""
        return self._written.get(one)

    def write(self, item: ItemRecord) -> None:
        """Take over a change that is newer than what is known."""
        before = self._written.get(item.id)
        self._written[item.id] = item
        self.checksum.add(item.id, item.rev)
        if before is not None:
            self.checksum.remove(before.id, before.rev)
        self.highest_rev = max(self.highest_rev, item.rev)
        if item.id in self._catalogue.ids:
            return
        if before is not None and before.op == "put":
            del self._fresh[bisect.bisect_left(self._fresh, (before.rev, before.id))]
        if item.op == "put":
            bisect.insort(self._fresh, (item.rev, item.id))

    def served(self, item: ItemRecord) -> ItemRecord:
        """Lay a written item over the bundle's, group by group.

        Content that was written wins, and is joined by what the bundle knows of its concepts.
        Preference that was written wins over a bundle that does not tell of as late a place in the
        log; what has no place yet is about to be written. Of a group that was only patched, what
        the patches named wins.
        """
        row = self._catalogue.ids.row(item.id)
        if item.op == "delete" or (self._concepts is None and (row is None or self._wins(item))):
            return item
        own, was = (None, None) if row is None else self._catalogue.groups(row)
        content = own if item.content is None else self._content(item, own)
        if item.content is not None and content is not None and self._concepts is not None:
            content = self._concepts.join("item", content, own)
        return replace(item, content=content, preference=self._preference(item, was))

    def base(self, one: str) -> ItemRecord | None:
        """Return what a patch merges into: the item as it is served less what its concepts tell.

        Of a group that the bundle gives nothing is unread, and patches have named nothing yet.
        """
        if one not in self:
            return None
        item = self.written(one) or ItemRecord(one, 0, "put")
        row = self._catalogue.ids.row(one)
        own, was = (None, None) if row is None else self._catalogue.groups(row)
        if was is not None and self._is_older(item):
            unread = item.unread._replace(preference={})
            item = replace(item, preference=None, unread=unread)
        patched = Patched(
            frozenset() if item.content is None else item.patched.content,
            frozenset() if item.preference is None else item.patched.preference,
        )
        content, preference = self._content(item, own), self._preference(item, was)
        return replace(item, content=content, preference=preference, patched=patched)

    def _wins(self, item: ItemRecord) -> bool:
        """Say whether nothing of the bundle's shows through an item."""
        is_whole = item.content is not None and item.preference is not None
        return is_whole and item.patched == Patched() and not self._is_older(item)

    def _content(self, item: ItemRecord, own: Record | None) -> Record | None:
        """Return the content of an item, less what its concepts tell."""
        if own is not None and self._concepts is not None:
            told = self._side.concepts
            own = {name: value for name, value in own.items() if name not in told}
        if item.content is None:
            return own
        return laid_over(own, item.content, item.patched.content)

    def _preference(self, item: ItemRecord, was: Record | None) -> Record | None:
        if item.preference is None or (was is not None and self._is_older(item)):
            return was
        return laid_over(was, item.preference, item.patched.preference)

    def _is_older(self, item: ItemRecord) -> bool:
        """Say whether the bundle tells of a later place in the log than an item's preference."""
        if self._as_of is None or item.preference_as_of is None:
            return False
        try:
            return LogId.parse(item.preference_as_of) <= self._as_of
        except ValueError:
            return True

    def get(self, one: str) -> ItemRecord | None:
        """Return an item as it is served; None if it is unknown or removed."""
        if one not in self:
            return None
        return self.served(self._written.get(one) or ItemRecord(one, 0, "put"))

    def words(self, feature: str, one: str) -> Mapping[str, float] | Iterable[str] | None:
        """Return the words of one feature of an item; None if it is unknown or removed."""
        row = self._catalogue.ids.row(one)
        if one not in self._written:
            return None if row is None else self._catalogue.words(feature, row)
        item = self.get(one)
        if item is None:
            return None
        return self._side.features[feature].words(item.record.get(feature))

    def given_vector(self, feature: str, one: str) -> list[float] | None:
        """Return an item's given vector; nothing for a posted one, None if it is unknown."""
        if one not in self:
            return None
        row = self._catalogue.ids.row(one)
        return [] if row is None else self._catalogue.given_vector(feature, row)

    def by_popularity(self) -> Iterator[Scored]:
        """Give the served items of the bundle with their shares of all interactions, best first."""
        catalogue = self._catalogue
        for start in range(0, len(catalogue), 256):
            rows = catalogue.by_popularity[start : start + 256]
            shares = catalogue.popularity[rows].tolist()
            for one, share in zip(catalogue.ids.take(rows), shares, strict=True):
                written = self._written.get(one)
                if written is None or written.op == "put":
                    yield one, share

    def fresh(self) -> Iterator[Scored]:
        """Give the served items that the bundle does not know, the last posted first.

        Nobody has chosen them yet, so their share is 0.
        """
        return ((one, 0.0) for _, one in reversed(self._fresh[:]))
