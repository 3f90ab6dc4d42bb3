"""A change of an item: a post lays groups down, a patch merges features into them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from export.contract.errors import Fault, RecordError
from export.contract.side import Record, Side
from service.records import ItemRecord, merge_features, parse_patch, parse_posted, write_json


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
        into, and goes where the group is replaced or emptied.

        Args:
            base: The item as it is served, less what its concepts tell, which a patch merges into;
                None: it is not served.
            written: The groups of it that were written before; None: none were.

        """
        before = written or ItemRecord(self.id, 0, "put")
        below = base or before
        content, unread = before.content, before.unread
        if self.content is not None:
            content = merge_features(below.content if self.merges else None, self.content)
            kept = _besides(unread.content, self.content) if self.merges else {}
            unread = unread._replace(content=kept)
        if self.preference is None and not self.forgets:
            stays = (before.preference, before.preference_as_of)
            return ItemRecord(self.id, 0, "put", content, *stays, unread)
        given, merges = self.preference or {}, self.merges and not self.forgets
        preference = merge_features(below.preference if merges else None, given)
        kept = _besides(unread.preference, given) if merges else {}
        return ItemRecord(
            self.id, 0, "put", content, preference, unread=unread._replace(preference=kept)
        )


def _besides(unread: Mapping[str, Any], given: Record) -> Mapping[str, Any]:
    """Return what could not be read, less what is given anew or removed."""
    return {name: value for name, value in unread.items() if name not in given}


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
