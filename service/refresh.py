"""The follower: has a generation take over every change in the item log, and says how far it is."""

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from export.embedder import Embedder, Vectors
from service.generation import Generation
from service.records import HIGHEST_REV, ItemRecord, Unreadable
from service.store import LOG_START, Entry, LogId, Poison, Store, StoredItem, StoreUnavailable

logger = logging.getLogger(__name__)

READ_MOST = 512
"""Log entries, or items of a full load, read at once."""
SLICE = 64
"""Items taken over before others on the event loop have their turn."""
WAIT_S = 0.5
"""How long a read of the log waits for an entry; a reset is noticed within as long."""
CHECK_S = 2.0
"""How often a log that never pauses is checked for a reset."""
RETRY_S = (0.05, 1.0)
"""The first and the longest pause before Redis is tried again."""


@dataclass
class Refreshed:
    """What a follower has done, counted since its start."""

    applied: int = 0
    """Changes taken over."""
    embedded: int = 0
    """Of these, items whose vector was computed here."""
    poisoned: int = 0
    """Entries and records skipped because they cannot be read."""
    ignored: int = 0
    """Single values left out because the schema of this version cannot read them."""
    loads: int = 0
    """Times that all items were read: at the start, and after a gap or a reset of the log."""


class Follower:
    """Reads the log with a cursor of its own; survives gaps, resets, poison and Redis being away.

    on_searchable: called for each entry with the seconds since it was written, by two clocks.
    """

    def __init__(
        self,
        store: Store,
        generation: Generation,
        embedder: Embedder,
        *,
        on_searchable: Callable[[float], None] | None = None,
    ) -> None:
        self._store = store
        self._generation = generation
        self._embedder = embedder
        self._on_searchable = on_searchable or (lambda _: None)
        self._epoch: bytes | None = None
        self._cursor = LOG_START
        self._waiters: list[tuple[LogId, asyncio.Future[None]]] = []
        self._task: asyncio.Task[None] | None = None
        self._has_loaded = asyncio.Event()
        self.state: Literal["connecting", "loading", "following"] = "connecting"
        self.counts = Refreshed()
        self.lag_entries = 0
        """Entries that were read and are not applied yet."""
        self.lag_s = 0.0
        """How much older the last applied entry is than the last one of the log, when last seen."""

    @property
    def applied(self) -> str:
        """The log id up to which everything is applied."""
        return str(self._cursor)

    @property
    def is_current(self) -> bool:
        """Whether the log is being followed, so that what is served is what is stored."""
        return self.state == "following"

    def start(self) -> None:
        """Begin to follow, in a task of its own."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """Stop following; no change is half applied."""
        while self._task is not None and not self._task.done():
            # More than once: `wait_for` of Python 3.11, under redis-py, can swallow a cancellation.
            self._task.cancel()
            await asyncio.wait([self._task], timeout=0.1)

    async def loaded(self, timeout_s: float) -> bool:
        """Wait until all items of the store have been taken over once; False if not in time."""
        return await _within(timeout_s, self._has_loaded.wait())

    async def wait_for(self, log_id: str, timeout_s: float) -> bool:
        """Wait until a log entry is applied; False if that takes too long.

        Raises:
            ValueError: The text is no log id.

        """
        place = LogId.parse(log_id)
        if place <= self._cursor:
            return True
        waiter = (place, asyncio.get_running_loop().create_future())
        self._waiters.append(waiter)
        try:
            return await _within(timeout_s, waiter[1])
        finally:
            with contextlib.suppress(ValueError):
                self._waiters.remove(waiter)

    async def _run(self) -> None:
        shortest_s, longest_s = RETRY_S
        pause_s = shortest_s
        while True:
            try:
                await self._connect()
                pause_s = shortest_s
                await self._follow()
            except StoreUnavailable as error:
                if self.state != "connecting":
                    logger.warning("log not followed", extra={"reason": str(error)})
            except Exception:
                logger.exception("following failed")
            else:
                continue
            self.state = "connecting"
            await asyncio.sleep(random.uniform(0.5, 1.0) * pause_s)
            pause_s = min(2 * pause_s, longest_s)

    async def _connect(self) -> None:
        """Go on where the cursor is; load everything if the log does not go on there."""
        state = await self._store.log.state()
        if not self._has_loaded.is_set() or not state.continues(self._epoch, self._cursor):
            self.state = "loading"
            await self.load()
            self._epoch = state.epoch
            self._advance(state.last)  # noted before the load: what came meanwhile is read again
            self._has_loaded.set()
        self.state = "following"

    async def _follow(self) -> None:
        """Take over entry after entry; returns when the log has a gap or was reset."""
        check_s = time.monotonic() + CHECK_S
        while True:
            entries = await self._store.log.read(self._cursor, READ_MOST, WAIT_S)
            if entries:
                await self._take(entries)
            if not entries or time.monotonic() >= check_s:
                check_s = time.monotonic() + CHECK_S
                state = await self._store.log.state()
                self.lag_s = max(0.0, (state.last.ms - self._cursor.ms) / 1000)
                if not state.continues(self._epoch, self._cursor):
                    logger.warning("log has a gap or was reset", extra={"applied": self.applied})
                    return

    async def load(self) -> None:
        """Take over all items of the store, removed ones too; `start` does so by itself.

        Raises:
            StoreUnavailable: The store does not answer; what was read until then is applied.

        """
        low, skip = float("-inf"), 0
        while page := await self._store.item_revs(low, skip, READ_MOST):
            named = [(self._decoded(one), int(min(max(rev, 0), HIGHEST_REV))) for one, rev in page]
            await self.refresh((one, rev) for one, rev in named if one is not None)
            last = page[-1][1]
            as_last = sum(rev == last for _, rev in page)
            low, skip = last, as_last + (skip if last == low else 0)
        self.counts.loads += 1

    def _decoded(self, one: bytes) -> str | None:
        try:
            return one.decode()
        except UnicodeDecodeError:
            self._skip("id is not UTF-8")
            return None

    async def _take(self, entries: Sequence[Entry | Poison]) -> None:
        """Take over log entries, and move the cursor behind them."""
        self.lag_entries = len(entries)
        for entry in entries:
            if isinstance(entry, Poison):
                self._skip(entry.reason, at=str(entry.at))
        good = [entry for entry in entries if isinstance(entry, Entry)]
        await self.refresh((entry.id, entry.rev) for entry in good)
        self.lag_entries = 0
        self._advance(entries[-1].at)
        now_s = time.time()
        for entry in good:
            self._on_searchable(max(0.0, now_s - entry.at.ms / 1000))

    async def refresh(self, changes: Iterable[tuple[str, int]]) -> None:
        """Read the items that are said to be of a newer rev than is known, and take them over.

        Raises:
            StoreUnavailable: The store does not answer; what was read until then is applied.

        """
        known_rev = self._generation.known_rev
        ids = list(dict.fromkeys(one for one, rev in changes if rev > known_rev(one)))
        for start in range(0, len(ids), SLICE):
            part = ids[start : start + SLICE]
            await self._take_over(await self._store.read_items(part, self._generation.version))
            await asyncio.sleep(0)

    async def _take_over(self, stored: Sequence[StoredItem]) -> None:
        """Apply records in their newest state; where no vector of that rev is kept, compute it."""
        lacking = []
        for item in stored:
            record = item.record
            if isinstance(record, Unreadable):
                self._skip(str(record))
            elif record is None or record.rev <= self._generation.known_rev(record.id):
                continue  # vanished with a reset, which the next check notices; or known
            elif record.op == "delete" or item.vector is not None:
                self._apply(record, item.vector)
            else:
                lacking.append(record)
        if lacking:
            made = self._embed(lacking)
            for record, vector in made:
                self._apply(record, vector)
            kept = [(record.id, record.rev, vector) for record, vector in made]
            await self._store.keep_vectors(self._generation.version, kept)

    def _embed(self, records: Sequence[ItemRecord]) -> list[tuple[ItemRecord, Vectors]]:
        """Compute vectors; a record that the tower cannot take is skipped and takes none along."""
        served = [self._generation.served(record).record for record in records]
        try:
            vectors = self._embedder.embed("item", served)
        except Exception as error:  # onnxruntime raises a dozen unrelated classes
            if len(records) == 1:
                self._skip(str(error))
                return []
            return [pair for record in records for pair in self._embed([record])]
        self.counts.embedded += len(records)
        return list(zip(records, vectors, strict=True))

    def _apply(self, record: ItemRecord, vector: Vectors | None) -> None:
        self.counts.applied += self._generation.apply(record, vector)
        self.counts.ignored += record.ignored

    def _skip(self, reason: str, **facts: str) -> None:
        self.counts.poisoned += 1
        logger.warning("log entry or item skipped", extra={"reason": reason, **facts})

    def _advance(self, cursor: LogId) -> None:
        self._cursor = cursor
        for place, waiter in self._waiters:
            if place <= cursor and not waiter.done():
                waiter.set_result(None)


async def _within(timeout_s: float, event: Awaitable[object]) -> bool:
    try:
        async with asyncio.timeout(timeout_s):
            await event
    except TimeoutError:
        return False
    return True
