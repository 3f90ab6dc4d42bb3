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
from service.store.connection import Call, answering, connect, run_script
from service.store.keys import Keys
from service.store.log import ItemLog
from service.store.scripts import KEEP_VECTOR, WRITE_ITEM
from service.store.users import UserWriter
from service.store.vectors import pack_vector, unpack_vector

logger = logging.getLogger(__name__)

VECTOR_KEPT_S = 7 * 86_400
"""Vectors of versions that nobody serves any more must not fill a Redis that never evicts."""

LOG_ENTRIES = 100_000
"""About as many are kept; who falls further behind reads all items instead."""


class Store:
    """Items and users in Redis, read with the schema of one bundle version.

    Three pools of connections: requests read within `timeout_s`; writes wait for a disk, within
    `write_timeout_s`; and the reader of the log blocks, so `log_timeout_s` bounds more than it.

    Every method raises StoreUnavailable when Redis does not answer in time, or with an error.
    """

    def __init__(
        self,
        url: str,
        schema: Schema,
        *,
        prefix: str = "fs",
        timeout_s: float = 0.05,
        write_timeout_s: float = 2.0,
        log_timeout_s: float = 2.0,
        erased_kept_s: int = 30 * 86_400,
    ) -> None:
        self._schema = schema
        self._keys = Keys(prefix)
        self._reads = connect(url, timeout_s, connections=8)
        self._writes = connect(url, write_timeout_s, connections=8)
        self._follows = connect(url, log_timeout_s, connections=2)
        self.log = ItemLog(self._follows, self._keys)
        self._users = UserWriter(self._writes, self._keys, erased_kept_s)

    async def close(self) -> None:
        """Close all connections."""
        for client in (self._reads, self._writes, self._follows):
            await client.aclose()

    async def ping(self) -> None:
        """Ask whether Redis answers a request in time."""
        with answering():
            await self._reads.ping()

    # Users

    async def get_users(self, ids: Sequence[str]) -> list[UserRecord | None]:
        """Read users, in order, in one command; None for one of whom nothing is stored.

        What is stored under a user's key and is no record of that user counts as nothing.
        """
        if not ids:
            return []
        with answering():
            values: list[Any] = await self._reads.mget([self._keys.user(one) for one in ids])
        return [self._user(one, value) for one, value in zip(ids, values, strict=True)]

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
        """Write items in order, each with its log entry; what is returned as Written is durable.

        A preference without `preference_as_of` is given this write's log id.

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
            with answering():
                answers = await run_script(self._writes, WRITE_ITEM, 6, calls)
        except StoreUnavailable as error:
            return [error] * len(items)
        return [_written(answer) for answer in answers]

    def _write_call(
        self, item: ItemRecord, vector: Vectors | None, version: str, seen_rev: int, epoch: str
    ) -> Call:
        keys = self._keys
        return [
            keys.item(item.id),
            keys.items,
            keys.rev,
            keys.log,
            keys.epoch,
            keys.vector(version, item.id),
            item.id,
            item.op,
            seen_rev,
            write_json(item)[1:],
            _as_of(item),
            b"" if vector is None else pack_vector(vector),
            VECTOR_KEPT_S,
            LOG_ENTRIES,
            epoch,
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
            values: list[Any] = await self._follows.mget(keys)
        pairs = zip(ids, values[: len(ids)], values[len(ids) :], strict=True)
        return [self._item(one, value, vector) for one, value, vector in pairs]

    def _item(self, one: str, value: bytes | None, vector: bytes | None) -> StoredItem:
        if value is None:
            return StoredItem(None, None)
        try:
            record = read_item(self._schema.item, one, value)
        except Unreadable as error:
            return StoredItem(error, None)
        return StoredItem(record, unpack_vector(vector, one, record.rev, self._schema.dim))

    async def keep_vectors(self, version: str, vectors: Sequence[tuple[str, int, Vectors]]) -> None:
        """Keep vectors that were computed from records of these revs, where those are the last."""
        calls: list[Call] = [
            [
                self._keys.items,
                self._keys.vector(version, one),
                one,
                rev,
                pack_vector(vector),
                VECTOR_KEPT_S,
            ]
            for one, rev, vector in vectors
        ]
        with answering():
            await run_script(self._follows, KEEP_VECTOR, 2, calls)

    async def item_revs(self, low: float, skip: int, most: int) -> list[tuple[bytes, float]]:
        """Return ids with their revs, removed items too, by rev: `most` from `low` on, less `skip`.

        Paged by rev and not by rank, for an item that is written meanwhile moves to the end.
        """
        with answering():
            page: list[Any] = await self._follows.zrangebyscore(
                self._keys.items, low, "+inf", start=skip, num=most, withscores=True
            )
        return page


def _as_of(item: ItemRecord) -> str:
    """Return the log id that an item's preference is of; the script puts it into JSON as it is."""
    if item.preference is None:
        return ""
    try:
        return str(LogId.parse(item.preference_as_of or ""))
    except ValueError:
        return "new"


def _written(answer: Any) -> Written | Newer | StoreUnavailable:
    if isinstance(answer, Exception):
        return StoreUnavailable(f"{type(answer).__name__}: {answer}")
    rev, log_id, before = answer
    if before == b"newer":
        return Newer(int(rev))
    return Written(int(rev), LogId.parse(log_id.decode()), before.decode())
