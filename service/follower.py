"""The follower: has a generation take over every change in the item log, and says how far it is."""

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from service.generation import Generation
from service.intake import SLICE, Intake
from service.processes.backoff import Backoff
from service.store import (
    LOG_START,
    Entry,
    LogId,
    LogState,
    Poison,
    Position,
    Store,
    StoreUnavailable,
)
from service.store.lag import Lag
from service.store.task import end

logger = logging.getLogger(__name__)

READ_MOST = 512
"""Log entries, or items of a full load, read at once."""
WAIT_S = 0.5
"""How long a read of the log waits for an entry; a reset is noticed within as long."""
CHECK_S = 2.0
"""How often the lag in a log that never pauses is measured."""
RETRY_S = (0.05, 1.0)
"""The first and the longest pause before Redis is tried again."""


@dataclass
class Followed:
    """What a follower has read, counted since its start."""

    entries: int = 0
    """Log entries."""
    loads: int = 0
    """Times that all items were read: where the log does not go on at the generation's position."""


class Follower:
    """Reads the log with a cursor of its own; survives gaps, resets, poison and Redis being away.

    It goes on at the generation's position, wherever that is from: a snapshot, or the loader.

    on_searchable: called for each entry with the seconds since it was written, by two clocks.
    """

    def __init__(
        self,
        store: Store,
        generation: Generation,
        intake: Intake,
        *,
        on_searchable: Callable[[float], None] | None = None,
    ) -> None:
        self._store = store
        self._generation = generation
        self._intake = intake
        self._on_searchable = on_searchable or (lambda _: None)
        self._waiters: list[tuple[LogId, asyncio.Future[None]]] = []
        self._task: asyncio.Task[None] | None = None
        self._has_loaded = asyncio.Event()
        self.state: Literal["connecting", "loading", "following"] = "connecting"
        self.counts = Followed()
        self.lag = Lag()

    @property
    def _cursor(self) -> LogId:
        position = self._generation.position
        return LOG_START if position is None else position.cursor

    @property
    def applied(self) -> str:
        """The log id up to which everything is applied."""
        return str(self._cursor)

    @property
    def has_loaded(self) -> bool:
        """Whether all that the store held at some moment since the start has been taken over."""
        return self._has_loaded.is_set()

    @property
    def is_current(self) -> bool:
        """Whether the log is being followed, so that what is served is what is stored."""
        return self.state == "following"

    def start(self) -> None:
        """Begin to follow, in a task of its own."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """Stop following; no change is half applied."""
        await end(self._task)

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
        pause = Backoff(*RETRY_S)
        while True:
            begun_s = time.monotonic()
            try:
                await self._connect()
                await self._follow()
            except StoreUnavailable as error:
                if self.state != "connecting":
                    logger.warning("log not followed", extra={"reason": str(error)})
            except Exception:
                logger.exception("following failed")
            else:
                continue
            self.state = "connecting"
            pause_s = pause.wait_s(time.monotonic() - begun_s)
            await asyncio.sleep(random.uniform(0.5, 1.0) * pause_s)

    async def _connect(self) -> None:
        """Catch up with the log; only after that is what is served what is stored."""
        state = await self._store.log.state(self._cursor)
        if not self.has_loaded or not self._continues(state):
            self.state = "loading"
        await self.catch_up(state)
        self.state = "following"

    async def catch_up(self, state: LogState | None = None) -> None:
        """Take over all that is stored by now: by the log, or all items if it does not go on.

        Raises:
            StoreUnavailable: The store does not answer; what was read until then is applied.

        """
        state = state or await self._store.log.state(self._cursor)
        if not self._continues(state):
            self._tell_break(state)
            await self.load()
            self._advance(state.end)  # noted before the load: what came meanwhile is read again
        await self.measure()
        while self._cursor < state.last:
            entries = await self._store.log.read(self._cursor, READ_MOST, 0)
            if not entries or not self._continues(await self._store.log.state(self._cursor)):
                return await self.catch_up()  # trimmed or emptied meanwhile
            await self._take(entries)
        self._has_loaded.set()
        return None

    def _continues(self, state: LogState) -> bool:
        position = self._generation.position
        return position is not None and state.continues(position)

    def _tell_break(self, state: LogState) -> None:
        position = self._generation.position
        if position is not None and position.epoch is not None:  # else the log has just begun
            facts = {"applied": self.applied, "begins": str(state.first), "ends": str(state.last)}
            logger.warning("log has a gap or was reset: all items are read", extra=facts)

    async def _follow(self) -> None:
        """Take over entry after entry; returns when the log has a gap or was reset.

        That is asked before what was read is applied: a log that was trimmed past the cursor
        answers with what comes after the gap.
        """
        check_s = time.monotonic()
        while True:
            entries = await self._store.log.read(self._cursor, READ_MOST, WAIT_S)
            if not self._continues(await self._store.log.state(self._cursor)):
                return
            if not entries or time.monotonic() >= check_s:
                check_s = time.monotonic() + CHECK_S
                await self.measure()
            await self._take(entries)
            await self._intake.keep()

    async def measure(self) -> None:
        """Look how far behind this is, also while what was read is still being applied.

        Raises:
            StoreUnavailable: The store does not answer; the lag stays as it was last seen.

        """
        self.lag.measured(await self._store.log.behind(self._cursor))

    async def load(self) -> None:
        """Take over all items of the store, removed ones too; `start` does so by itself.

        Raises:
            StoreUnavailable: The store does not answer; what was read until then is applied.

        """
        async for page in self._store.revs.pages(READ_MOST):
            named = [(self._decoded(one), rev) for one, rev in page]
            await self._intake.refresh((one, rev) for one, rev in named if one is not None)
        self.counts.loads += 1

    def _decoded(self, one: bytes) -> str | None:
        try:
            return one.decode()
        except UnicodeDecodeError:
            self._intake.set_aside("id is not UTF-8")
            return None

    async def _take(self, entries: Sequence[Entry | Poison]) -> None:
        """Take over log entries, and move the position behind them."""
        assert self._generation.position is not None, "the log is read from a position on"
        epoch = self._generation.position.epoch
        for start in range(0, len(entries), SLICE):
            part = entries[start : start + SLICE]
            self.lag.found(len(entries) - start, part[0].at)
            for entry in part:
                if isinstance(entry, Poison):
                    self._intake.set_aside(entry.reason, at=str(entry.at))
            good = [entry for entry in part if isinstance(entry, Entry)]
            places = {entry.id: entry.at for entry in good}
            await self._intake.refresh(((entry.id, entry.rev) for entry in good), places)
            self.counts.entries += len(part)
            self._advance(Position(epoch, part[-1].at))
            self.lag.applied(len(part), part[-1].at)
            now_s = time.time()
            for entry in good:
                self._on_searchable(max(0.0, now_s - entry.at.ms / 1000))

    def _advance(self, position: Position) -> None:
        self._generation.position = position
        for place, waiter in self._waiters:
            if place <= position.cursor and not waiter.done():
                waiter.set_result(None)


async def _within(timeout_s: float, event: Awaitable[object]) -> bool:
    try:
        async with asyncio.timeout(timeout_s):
            await event
    except TimeoutError:
        return False
    return True
