"""Redis: items with their log, and users."""

import logging
import secrets
from collections.abc import Sequence
from typing import Any

from export.contract.schema import Schema
from export.embedder import Vectors
from service.records import (
    Groups,
    ItemRecord,
    Unreadable,
    UserRecord,
    merge_user,
    read_item,
    read_user,
    write_json,
)
from service.store.base import LogId, Newer, StoredItem, StoreUnavailable, Written
from service.store.connection import Call, answering, run_script
from service.store.keys import Keys
from service.store.link import Link
from service.store.log import ItemLog
from service.store.revs import ItemRevs
from service.store.scripts import KEEP_VECTOR, WRITE_ITEM
from service.store.users import UserWriter
from service.store.vector_versions import VectorVersions
from service.store.vectors import pack_vector, unpack_vector

logger = logging.getLogger(__name__)

VECTOR_KEPT_S = 7 * 86_400
"""Vectors that nobody forgets (`VectorVersions`) must not fill a Redis that never evicts."""

LOG_ENTRIES = 1_000_000
"""About as many are kept at most; who falls further behind reads all items instead."""


class Store:
    """Items and users in Redis, read with the schema of one bundle version.

    Every method raises StoreUnavailable when Redis does not answer in time, or with an error.
    """

    def __init__(
        self,
        link: Link,
        schema: Schema,
        *,
        prefix: str = "fs",
        erased_kept_s: int = 30 * 86_400,
        users_kept_s: int = 0,
        log_entries: int = LOG_ENTRIES,
    ) -> None:
        self.link = link
        self._schema = schema
        self._keys = Keys(prefix)
        self._log_entries = log_entries
        self.log = ItemLog(link.follows, self._keys)
        self.revs = ItemRevs(link.follows, self._keys, VECTOR_KEPT_S, log_entries)
        self.vectors = VectorVersions(link.follows, self._keys, self.revs)
        self._users = UserWriter(link.user_writes, self._keys, erased_kept_s, users_kept_s)

    # Users

    async def get_user(self, one: str) -> UserRecord | None:
        """Read a user by id, for whoever has no other answer and so waits as for a write.

        What is stored under a user's key and is no record of that user counts as nothing.
        """
        key = self._keys.user(one)
        value = await self.link.user_writes.ask(key, lambda line: line.do("GET", key))
        return self._user(one, value)

    async def get_users(self, ids: Sequence[str]) -> list[UserRecord | StoreUnavailable | None]:
        """Read users for recalls, which go on without, in order, each server asked once.

        None stands for one of whom nothing is stored, as with `get_user`. In a cluster
        StoreUnavailable stands for one whose node does not answer, where others do.
        """
        if not ids:
            return []
        values = await self.link.user_reads.get_all([self._keys.user(one) for one in ids])
        return [
            value if isinstance(value, StoreUnavailable) else self._user(one, value)
            for one, value in zip(ids, values, strict=True)
        ]

    def _user(self, one: str, value: bytes | None) -> UserRecord | None:
        if value is None:
            return None
        try:
            return read_user(self._schema.user, one, value)
        except Unreadable as error:
            logger.warning("user record not readable", extra={"reason": str(error)})
            return None

    async def put_user(self, user: UserRecord, *, unmodified_since_s: float | None = None) -> bool:
        """Write a user; say whether nothing was stored of them before.

        Raises:
            Kept: They were written after that moment, if one is given, or erased at any.

        """
        if unmodified_since_s is None:
            return await self._users.put(user)
        return await self._users.put_unmodified(user, unmodified_since_s)

    async def patch_user(
        self, one: str, groups: Groups, *, forgets: bool
    ) -> tuple[UserRecord, bool]:
        """Merge features into what is stored of a user; say also whether that was nothing.

        Raises:
            Contended: Others kept writing the user.

        """
        value, is_new = await self._users.patch(
            one, lambda before: merge_user(one, before, groups, forgets=forgets)
        )
        return read_user(self._schema.user, one, value), is_new

    async def delete_user(self, one: str) -> bool:
        """Erase a user, leaving the mark of it; say whether anything was stored of them."""
        return await self._users.delete(one)

    # Items

    async def write_items(
        self,
        items: Sequence[tuple[ItemRecord, Vectors | None]],
        version: str,
        seen_rev: int,
        based_on: Sequence[int | None] | None = None,
    ) -> list[Written | Newer | StoreUnavailable]:
        """Write items in order, each with its log entry; what Redis has is returned as Written.

        They wait together for disk or replicas, if writes are to. A preference without
        `preference_as_of` is given this write's log id.

        Args:
            items: As they should be written (their rev is given here), a put with its vector.
            version: The bundle version of the vectors.
            seen_rev: The highest rev that the writer has seen; the new ones are higher.
            based_on: For each item the rev from which on it must not have changed, None: it may.

        """
        epoch = secrets.token_hex(16)
        calls = [
            [*self._write_call(item, vec, version, seen_rev, epoch), "" if rev is None else rev]
            for (item, vec), rev in zip(items, based_on or [None] * len(items), strict=True)
        ]
        try:
            wait = await self.link.wait_call()
            async with self.link.writing.answering():
                answers = await run_script(self.link.writes, WRITE_ITEM, 7, calls, wait)
        except StoreUnavailable as error:
            return [error] * len(items)
        fault = await self.link.fault(None if wait is None else answers.pop())
        return [_written(answer, fault) for answer in answers]

    def _write_call(
        self, item: ItemRecord, vector: Vectors | None, version: str, seen_rev: int, epoch: str
    ) -> Call:
        return [
            *self._keys.written(version, item.id),
            item.id,
            item.op,
            seen_rev,
            write_json(item)[1:],
            _as_of(item),
            b"" if vector is None else pack_vector(vector),
            VECTOR_KEPT_S,
            self._log_entries,
            epoch,
            version,
        ]

    async def write_item(
        self, item: ItemRecord, vector: Vectors | None, version: str, seen_rev: int
    ) -> Written:
        """Write one item, whatever it is based on; see `write_items`."""
        [answer] = await self.write_items([(item, vector)], version, seen_rev)
        if isinstance(answer, StoreUnavailable):
            raise answer
        assert isinstance(answer, Written)
        return answer

    async def read_items(self, ids: Sequence[str], version: str) -> list[StoredItem]:
        """Read items, in order, with the vectors that a version gives them."""
        if not ids:
            return []
        keys = [self._keys.item(one) for one in ids]
        keys += [self._keys.vector(version, one) for one in ids]
        with answering():
            values: list[Any] = await self.link.follows.mget(keys)
        pairs = zip(ids, values[: len(ids)], values[len(ids) :], strict=True)
        return [self._item(one, value, vector) for one, value, vector in pairs]

    def _item(self, one: str, value: bytes | None, vector: bytes | None) -> StoredItem:
        if value is None:
            return StoredItem(None, None)
        try:
            record = read_item(self._schema.item, one, value)
        except Unreadable as error:
            return StoredItem(error, None)
        except Exception as error:  # one that nobody foresaw must not take the others along
            return StoredItem(Unreadable(f"{type(error).__name__}: {error}"), None)
        return StoredItem(record, unpack_vector(vector, one, record.rev, self._schema.dim))

    async def keep_vectors(self, version: str, vectors: Sequence[tuple[str, int, Vectors]]) -> None:
        """Keep vectors that were computed from records of these revs, where those are the last."""
        calls: list[Call] = [
            [
                self._keys.items,
                self._keys.vector(version, one),
                self._keys.versions,
                one,
                rev,
                pack_vector(vector),
                VECTOR_KEPT_S,
                version,
            ]
            for one, rev, vector in vectors
        ]
        with answering():
            await run_script(self.link.follows, KEEP_VECTOR, 3, calls)


def _as_of(item: ItemRecord) -> str:
    """Return the log id that an item's preference is of; the script puts it into JSON as it is."""
    if item.preference is None:
        return ""
    try:
        return str(LogId.parse(item.preference_as_of or ""))
    except ValueError:
        return "new"


def _written(answer: Any, fault: str | None) -> Written | Newer | StoreUnavailable:
    if isinstance(answer, Exception):
        return StoreUnavailable(f"{type(answer).__name__}: {answer}")
    rev, log_id, before = answer
    if before == b"newer":
        return Newer(int(rev))
    return Written(int(rev), LogId.parse(log_id.decode()), before.decode(), fault)
