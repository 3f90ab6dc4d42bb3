"""The duty of a replica to let its recent index grow, in a thread beside the requests."""

import asyncio
import logging
import random
import threading
import time
from functools import partial
from typing import NoReturn

from service.generation import Generation
from service.index.growth import NoRoom
from service.observe import GROWTH_BLOCKED
from service.processes.backoff import Backoff

logger = logging.getLogger(__name__)

LOOK_S = 0.25

SHARE = 0.25
"""Of one core that growth takes at most: requests have the rest, and more than a thousand posts a
second still go in."""

LATER = 0.25
"""By up to this share of what a delta gathers each worker begins its steps later, drawn once: all
workers of all replicas are posted the same, and would else grow at the same moment."""

RETRY_S = (1.0, 60.0)


class Stopped(Exception):
    """The process leaves, and nobody waits for the step."""


class GrowthDuty:
    """Takes what gathers in the delta of a generation into its recent index.

    Each worker grows its own: what is served lies in its memory, and no lock or process stands
    between a post and the search that finds it.

    turn: shared by the duties of a process, whose versions are posted the same; one grows at a
        time.
    """

    def __init__(self, generation: Generation, turn: asyncio.Lock) -> None:
        self._generation = generation
        self._turn = turn
        self._patience = 1.0 + random.uniform(0.0, LATER)  # noqa: S311 - nothing to be guessed
        self._is_blocked = False

    async def run(self) -> NoReturn:
        """Grow whenever there is something to take in; an error is logged, and tried again."""
        backoff = Backoff(*RETRY_S)
        while True:
            begun_s = time.monotonic()
            try:
                while True:
                    await asyncio.sleep(LOOK_S)
                    await self.grow()
            except Exception:
                logger.exception("recent index not grown")
            await asyncio.sleep(backoff.wait_s(time.monotonic() - begun_s))

    async def grow(self) -> bool:
        """Take one step, if there is one to be taken; say whether there was."""
        async with self._turn:
            return await self._grow()

    async def _grow(self) -> bool:
        try:
            growth = self._generation.begin_growth(self._patience)
        except NoRoom as error:
            self._tell(str(error))
            return False
        self._tell(None)
        if growth is None:
            return False
        leaving = threading.Event()
        try:
            await asyncio.to_thread(growth.build, partial(_rest, leaving))
            self._generation.finish_growth(growth)
        except BaseException:  # cancelled too: the thread then ends after its slice
            leaving.set()
            self._generation.drop_growth()
            raise
        return True

    def _tell(self, blocked: str | None) -> None:
        """Show whether growth waits for a handover, and log it where it begins to."""
        version = self._generation.version
        GROWTH_BLOCKED.labels(version).set(blocked is not None)
        if blocked is not None and not self._is_blocked:
            facts = {"version": version, "reason": blocked}
            logger.warning("recent index cannot grow until a handover", extra=facts)
        self._is_blocked = blocked is not None


def _rest(leaving: threading.Event, took_s: float) -> None:
    """Leave the core to others after a slice that took so much of it."""
    if leaving.wait(took_s * (1 / SHARE - 1)):
        raise Stopped
