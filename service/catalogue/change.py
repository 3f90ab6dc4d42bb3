"""A change of an item: a post lays groups down, a patch merges features into them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from export.contract.errors import Fault, RecordError
from export.contract.side import Record, Side
from service.catalogue.patched import Names, Patched
from service.records import (
    ItemRecord,
    Unread,
    merge_features,
    parse_patch,
    parse_posted,
    write_json,
)


@dataclass(frozen=True, slots=True)
class Change:
    """What a client wants of one item, checked.

    A feature that is None is removed; a group that is None stays as it is. `forgets` empties the
    preference first. Only a patch `merges`; of a post the content is all there is.
    """

    id: str
    content: Record | None
    preference: Record | None
    forgets: bool = False
    merges: bool = False

    @property
    def hangs_on_before(self) -> bool:
        """Whether the record depends on what is there, so that nobody may change it meanwhile."""
        return self.merges or self.preference is None

    def applied(self, base: ItemRecord | None, written: ItemRecord | None) -> ItemRecord:
        """Return the record to write.

        A preference that is given has no `preference_as_of` yet: it will be this write's. One that
        stays keeps its own. What this version cannot read stays where the group stays or is merged
        into, and goes where the group is replaced or emptied. A patch of a group that nobody gave
        whole notes what it names.

        Args:
            base: What a patch merges into, see `Overlay.base`; None: the item is not served.
            written: The groups of it that were written before; None: none were.

        """
        before = written or ItemRecord(self.id, 0, "put")
        content, preference = _groups(before)
        found = _groups(base or before) if self.merges else (_NOTHING, _NOTHING)
        as_of = before.preference_as_of
        if self.content is not None:
            content = found[0].changed(self.content)
        if self.preference is not None or self.forgets:
            below_it = _NOTHING if self.forgets else found[1]
            preference, as_of = below_it.changed(self.preference or {}), None
        return ItemRecord(
            *(self.id, 0, "put", content.record, preference.record, as_of),
            Unread(content.unread, preference.unread),
            Patched(content.named, preference.named),
        )


class _Group(NamedTuple):
    """A group of an item: what is read of it, what is not, and what patches named, if only that."""

    record: Record | None
    unread: Mapping[str, Any]
    named: Names | None

    def changed(self, given: Record) -> "_Group":
        """Return the group with features in place; None takes one away."""
        unread = {name: value for name, value in self.unread.items() if name not in given}
        named = None if self.named is None else self.named | given.keys()
        return _Group(merge_features(self.record, given), unread, named)


_NOTHING = _Group(None, {}, None)


def _groups(item: ItemRecord) -> tuple[_Group, _Group]:
    """Return the content and the preference of an item."""
    return (
        _Group(item.content, item.unread.content, item.patched.content),
        _Group(item.preference, item.unread.preference, item.patched.preference),
    )


def read_post(side: Side, posted: object) -> Change:
    """Read what was posted of an item: a flat record with its id.

    Raises:
        RecordError: Names every value at fault.

    """
    if not isinstance(posted, Mapping):
        raise RecordError([Fault.of("item", posted, "an object with an id and features")])
    one, groups = parse_posted(side, posted)
    write_json(ItemRecord(one, 0, "put", groups.content, groups.preference))
    return Change(one, groups.content, groups.preference)


def read_patch(side: Side, one: str, patch: Mapping[str, object]) -> Change:
    """Read what is to be changed of an item: features by name, null where one is to go.

    Raises:
        RecordError: Names every value at fault.

    """
    groups, forgets = parse_patch(side, patch)
    write_json(ItemRecord(one, 0, "put", groups.content, groups.preference))
    return Change(one, groups.content, groups.preference, forgets, merges=True)
