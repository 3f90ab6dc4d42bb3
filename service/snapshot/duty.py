"""The duty of a replica to write snapshots: when one is due, slice by slice beside the requests."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Collection
from pathlib import Path
from typing import NoReturn

from export.contract.errors import ContractError
from service.follower import Follower
from service.generation import Generation
from service.observe import SNAPSHOTS
from service.settings import Settings
from service.snapshot.folder import New, Snapshots, kept_in
from service.snapshot.format import Row
from service.store import LogId, Position, Store, StoreUnavailable
from service.store.task import end

logger = logging.getLogger(__name__)

SLICE = 32
"""Items handed to the writing thread at once: it holds the lock that Python's threads share for
less than a millisecond, and the event loop has its turn in between."""
LOOK_S = 1.0
RETRY_S = 60.0
"""How long one that failed is not tried again."""


class SnapshotDuty:
    """Writes what a generation has taken over, with its place in the log.

    What is written need not be of one moment: it holds all up to the place, which is noted first,
    and perhaps some that came later. Whoever replays the log from the place on ends in the same.

    loaded: the versions that are served from this data folder, each of which keeps a snapshot.
    """

    def __init__(
        self,
        settings: Settings,
        generation: Generation,
        follower: Follower,
        store: Store,
        loaded: Collection[str] = (),
    ) -> None:
        self._settings = settings
        self._generation = generation
        self._follower = follower
        self._store = store
        self._loaded = loaded
        self._snapshots: Snapshots = kept_in(settings)
        self._last: Position | None = None
        self._read_before = 0
        self._next_s = 0.0
        self._writing: asyncio.Task[Path | None] | None = None
        self._task: asyncio.Task[NoReturn] | None = None

    def start(self) -> None:
        """Begin to write whenever a snapshot is due, in a task of its own."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self, *, is_replaced: bool = False) -> None:
        """End the duty, with a last snapshot where there is something new.

        Args:
            is_replaced: Whether others serve on. They write theirs when it is due, and this one
                would take core and disk from them: it is left out, unless so many came and went
                before one was due that the newest of them all is too old.

        """
        await end(self._task)
        if self._writing is not None:
            with contextlib.suppress(Exception):  # told by whoever began it
                await self._writing
        if not is_replaced or await self._is_late():
            await self.attempt()

    async def _is_late(self) -> bool:
        return await asyncio.to_thread(self._snapshots.age_s) >= self._settings.snapshot_s

    async def _run(self) -> NoReturn:
        await self._look_back()
        while True:
            await asyncio.sleep(LOOK_S)
            if self._is_due():
                before = self._last
                await self._look_back()
                if self._last == before:  # and no other process has written meanwhile
                    await self.attempt()

    def _is_due(self) -> bool:
        position = self._generation.position
        if position is None or position.epoch is None or position == self._last:
            return False
        read = self._follower.counts.entries - self._read_before
        return read >= self._settings.snapshot_entries or time.monotonic() >= self._next_s

    async def _look_back(self) -> None:
        """Count anew from the newest snapshot there is."""
        facts = await asyncio.to_thread(self._snapshots.newest_facts, self._generation.version)
        self._last = None if facts is None else facts.position
        self._read_before = self._follower.counts.entries
        self._next_s = time.monotonic() + self._settings.snapshot_s

    async def attempt(self) -> Path | None:
        """Write a snapshot if there is something new; a failure is told, counted and borne."""
        try:
            return await self.write()
        except (OSError, ContractError) as error:
            self._fail(str(error))
        except Exception as error:  # one that nobody foresaw would end the duty, unnoticed
            self._fail(f"{type(error).__name__}: {error}")
        return None

    def _fail(self, reason: str) -> None:
        self._next_s = time.monotonic() + RETRY_S
        SNAPSHOTS.labels("failed").inc()
        logger.error("snapshot not written", extra={"reason": reason})

    async def write(self, *, waits: bool = False) -> Path | None:
        """Write a snapshot, and trim the log as far as nobody needs it; None: there was no need.

        Who is cancelled meanwhile does not end it, for a thread may be in the middle of it.

        Args:
            waits: Whether to wait for another process of this data folder that writes.

        Raises:
            OSError: The disk refuses; what was there before is there still.
            SnapshotError: The disk holds something else than was written.

        """
        self._writing = asyncio.ensure_future(self._write_alone(waits))
        return await asyncio.shield(self._writing)

    async def _write_alone(self, waits: bool) -> Path | None:
        position = self._generation.position
        if position is None or position.epoch is None or not self._settings.snapshots_kept:
            return None
        lock = self._snapshots.lock(waits=waits)
        is_ours = await asyncio.to_thread(lock.__enter__)
        try:
            return await self._write(position) if is_ours else None
        finally:
            lock.__exit__(None, None, None)

    async def _write(self, position: Position) -> Path | None:
        await self._look_back()
        last = self._last
        if last and last.epoch == position.epoch and last.cursor >= position.cursor:
            return None
        path = await self._write_all(position)
        await self._look_back()
        horizon = LogId(max(0, position.cursor.ms - self._settings.log_kept_s * 1000), 0)
        version = self._generation.version
        await asyncio.to_thread(self._snapshots.prune, version, horizon, self._loaded)
        await self._trim(position)
        return path

    async def _write_all(self, position: Position) -> Path:
        generation = self._generation
        ids = generation.changed()
        new = await asyncio.to_thread(
            self._snapshots.begin, generation.version, generation.schema.dim
        )
        try:
            for start in range(0, len(ids), SLICE):
                rows = [self._row(one) for one in ids[start : start + SLICE]]
                await asyncio.to_thread(new.writer.add, rows)
            path = await asyncio.to_thread(self._finish, new, position)
        except BaseException:
            await asyncio.shield(asyncio.to_thread(new.drop))
            raise
        SNAPSHOTS.labels("written").inc()
        facts = {"path": str(path), "items": len(ids), "log_id": str(position.cursor)}
        logger.info("snapshot written", extra=facts)
        return path

    def _finish(self, new: New, position: Position) -> Path:
        new.writer.finish(self._generation.bundle, position)
        return new.keep()

    def _row(self, one: str) -> Row:
        item = self._generation.change(one)
        assert item is not None, "what was changed stays changed"
        return item, self._generation.vector(one)

    async def _trim(self, position: Position) -> None:
        cursor = await asyncio.to_thread(self._snapshots.oldest_cursor, position.epoch)
        if cursor is None:
            return
        try:
            gone = await self._store.log.trim(
                await asyncio.to_thread(self._snapshots.replica),
                Position(position.epoch, cursor),
                self._settings.log_kept_s,
            )
        except StoreUnavailable as error:
            logger.info("log not trimmed", extra={"reason": str(error)})
            return
        if gone:
            logger.info("log trimmed", extra={"entries": gone, "before": str(cursor)})
