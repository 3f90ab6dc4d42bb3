"""Records of items and users as the store holds them: read leniently, written exactly."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import orjson

from export.contract.errors import Fault, RecordError
from export.contract.features import Mismatch, Raw
from export.contract.side import Record, Side
from export.contract.tables import id_fault
from service.catalogue.patched import Patched, read_patched
from service.http.wire import json_bytes

Op = Literal["put", "delete"]
State = Literal["warm", "cold", "fallback"]

HIGHEST_REV = 2**48
"""No writer ever gets here; a Redis script counts exactly up to 2**53 only."""


class Unreadable(ValueError):
    """What the store holds is none of our records; the text says why."""


class Unread(NamedTuple):
    """Stored values of each group that this schema does not know or cannot read, as they are.

    They count as missing, and are written back with their group: another version reads them.
    """

    content: Mapping[str, Any] = {}
    preference: Mapping[str, Any] = {}


class Groups(NamedTuple):
    """The features of a record by group; None: the group was not written."""

    content: Record | None
    preference: Record | None
    unread: Unread = Unread()
    ignored: int = 0
    """How many values are unread, or are no group at all."""


@dataclass(frozen=True, slots=True)
class ItemRecord:
    """An item as it was written, or (from `Generation.get`) as it is served.

    A group is None where it was not written; `preference_as_of` is the log id of the write that
    gave the preference. `rev` is 0 for what only the bundle knows and for what is not written yet.
    `patched` says of which groups only some features were given.
    """

    id: str
    rev: int
    op: Op
    content: Record | None = None
    preference: Record | None = None
    preference_as_of: str | None = None
    unread: Unread = Unread()
    patched: Patched = Patched()
    ignored: int = field(default=0, compare=False)

    @property
    def record(self) -> dict[str, Raw]:
        """All features, flat."""
        return {**(self.content or {}), **(self.preference or {})}


@dataclass(frozen=True, slots=True)
class UserRecord:
    """What is stored of a user; `preference_as_of` is free text of whoever wrote it."""

    id: str
    content: Record | None = None
    preference: Record | None = None
    preference_as_of: str | None = None
    ignored: int = field(default=0, compare=False)

    @property
    def record(self) -> dict[str, Raw]:
        """All features, flat."""
        return {**(self.content or {}), **(self.preference or {})}


def parse_posted(side: Side, posted: Mapping[str, object]) -> tuple[str, Groups]:
    """Read a flat record with its id, as a client sent it.

    Content is always given, if only empty. Preference is given where one of its features is, or
    as nothing by `"preference": null`; else it is not written, and what was known of it stays.

    Raises:
        RecordError: Names every value at fault, a bad or missing id as `id`.

    """
    flat = dict(posted)
    one = flat.pop("id", None)
    fault = id_fault(one)
    faults = [Fault.of("id", one, fault)] if fault else []
    record, forgets = _parse_stored(side, flat, faults)
    preference = {name: record[name] for name in side.preference if name in record}
    content = {name: record[name] for name in side.content if name in record}
    return str(one), Groups(content, preference if preference or forgets else None)


def parse_patch(side: Side, patch: Mapping[str, object]) -> tuple[Groups, bool]:
    """Read the features to change, null where one is to go; say also whether preference is to go.

    A group is None where none of its features is to change.

    Raises:
        RecordError: Names every value at fault.

    """
    record, forgets = _parse_stored(side, dict(patch), [])
    content, preference = (
        {name: record.get(name) for name in group if name in patch} or None
        for group in (side.content, side.preference)
    )
    return Groups(content, preference), forgets


def _parse_stored(
    side: Side, flat: dict[str, object], faults: list[Fault]
) -> tuple[dict[str, Raw], bool]:
    """Parse features that are to be stored; say also whether `"preference": null` stood there.

    Raises:
        RecordError: Names every value at fault, and the given faults.

    """
    forgets = "preference" in flat and flat["preference"] is None
    if forgets:
        del flat["preference"]
    for name in side.context.keys() & flat.keys():
        expected = "no context feature: context comes with a recall and is never stored"
        faults.append(Fault.of(name, flat.pop(name), expected))
    try:
        record = side.parse(flat)
    except RecordError as error:
        raise RecordError([*faults, *error.faults]) from error
    if faults:
        raise RecordError(faults)
    return record, forgets


def read_groups(side: Side, stored: Mapping[str, Any]) -> Groups:
    """Read the groups of a stored record, which another version's schema may have shaped."""
    groups = [stored.get("content"), stored.get("preference")]
    no_groups = sum(group is not None and not isinstance(group, Mapping) for group in groups)
    content, strange = _readable(side.content, groups[0])
    preference, stranger = _readable(side.preference, groups[1])
    ignored = len(strange) + len(stranger) + no_groups
    return Groups(content, preference, Unread(strange, stranger), ignored)


def _readable(
    features: Mapping[str, Any], group: object
) -> tuple[Record | None, Mapping[str, Any]]:
    if not isinstance(group, Mapping):
        return None, {}
    record: dict[str, Raw] = {}
    unread: dict[str, Any] = {}
    for name, value in group.items():
        try:
            raw = features[name].parse(value)
        except (KeyError, Mismatch):
            unread[name] = value
            continue
        if raw is not None:
            record[name] = raw
    return record, unread


def read_item(side: Side, one: str, value: bytes) -> ItemRecord:
    """Read what the store holds under an item's key.

    Raises:
        Unreadable: It is not JSON, of another id, of an unknown op, or its rev is no rev.

    """
    stored = _document(one, value)
    op, rev = stored.get("op"), stored.get("rev")
    if op not in ("put", "delete"):
        raise Unreadable(f"op is {op!r:.40}")
    if type(rev) is not int or not 1 <= rev < HIGHEST_REV:
        raise Unreadable(f"rev is {rev!r:.40}")
    groups = read_groups(side, stored) if op == "put" else Groups(None, None)
    as_of, patched = _text(stored.get("preference_as_of")), read_patched(stored.get("patched"))
    return ItemRecord(one, rev, op, *groups[:2], as_of, groups.unread, patched, groups.ignored)


def read_user(side: Side, one: str, value: bytes) -> UserRecord:
    """Read what the store holds under a user's key.

    Raises:
        Unreadable: It is not JSON, or of another id.

    """
    stored = _document(one, value)
    groups = read_groups(side, stored)
    return UserRecord(one, *groups[:2], _text(stored.get("preference_as_of")), groups.ignored)


def merge_user(one: str, stored: bytes | None, groups: Groups, *, forgets: bool) -> bytes:
    """Return the stored form of a user with features changed, None where one is to go.

    What another version's schema knows of the user and this one does not stays as it is; what is
    no record of the user counts as nothing.

    Args:
        one: The user's id.
        stored: What is stored, if anything is.
        groups: The features to change; a group that is None stays as it is.
        forgets: Whether the preference is emptied first.

    Raises:
        RecordError: A text is not UTF-8 (half of a surrogate pair).

    """
    try:
        before = {} if stored is None else _document(one, stored)
    except Unreadable:
        before = {}
    merged: dict[str, Record | None] = {}
    for name, above in (("content", groups.content), ("preference", groups.preference)):
        below = before.get(name)
        if forgets and name == "preference":
            below = {}
        known = below if isinstance(below, Mapping) else None
        merged[name] = known if above is None else merge_features(known, above)
    as_of = _text(before.get("preference_as_of"))
    keeps_as_of = groups.preference is None and not forgets
    return write_json(
        UserRecord(one, merged["content"], merged["preference"], as_of if keeps_as_of else None)
    )


def merge_features(below: Record | None, above: Record) -> dict[str, Raw]:
    """Return features with those above in place; None takes one away."""
    both = {**(below or {}), **above}
    return {name: value for name, value in both.items() if value is not None}


def _document(one: str, value: bytes) -> dict[str, Any]:
    try:
        stored = orjson.loads(value)
    except orjson.JSONDecodeError as error:
        raise Unreadable(f"not JSON: {error}") from error
    if not isinstance(stored, dict) or stored.get("id") != one:
        raise Unreadable("it does not repeat its id")
    return stored


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def write_json(record: ItemRecord | UserRecord) -> bytes:
    """Return the stored form; of an item without `op`, `rev` and `preference_as_of` (the store's).

    Raises:
        RecordError: A text is not UTF-8 (half of a surrogate pair).

    """
    members: dict[str, object] = {"id": record.id}
    content, preference = record.content, record.preference
    if isinstance(record, UserRecord):
        members["preference_as_of"] = record.preference_as_of
    else:
        content = None if content is None else {**record.unread.content, **content}
        preference = None if preference is None else {**record.unread.preference, **preference}
        if patched := record.patched.as_json():
            members["patched"] = patched
    members |= {"content": content, "preference": preference}
    try:
        return json_bytes(members)
    except orjson.JSONEncodeError as error:
        raise RecordError([Fault("record", str(error), "text that is valid UTF-8")]) from error


def stored_item(item: ItemRecord) -> bytes:
    """Return an item as the store holds it, with its op, rev and `preference_as_of`.

    Raises:
        RecordError: A text is not UTF-8 (half of a surrogate pair).

    """
    head = json_bytes({"op": item.op, "rev": item.rev, "preference_as_of": item.preference_as_of})
    return head[:-1] + b"," + write_json(item)[1:]


def state_of(
    side: Side, record: Record, interactions: float | None = None
) -> tuple[State, list[str]]:
    """Return how a record is embedded, and the groups that are dropped for it.

    `interactions` is how many there are known to be; by default what the record says.
    """
    if side.has_preference(record, interactions):
        return "warm", []
    if any(name in record for name in side.content):
        return "cold", ["preference"]
    return "fallback", ["content", "preference"]
