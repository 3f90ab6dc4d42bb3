"""Reconciliation: what a replica serves is compared with what Redis holds, and both are mended."""

import asyncio
import logging
import random
import time
from dataclasses import dataclass
from typing import NoReturn

from service.catalogue.checksum import Checksum
from service.follower import Follower
from service.generation import Generation
from service.intake import Intake
from service.observe import RECONCILED
from service.store import Store, StoreUnavailable

logger = logging.getLogger(__name__)

PAGE = 512
LOOK_S = 1.0
RETRY_S = 10.0
"""How long what nobody foresaw is not tried again."""
CATCH_UP_S = 5.0
"""How long the log is waited for; what it will tell by itself is no difference."""


@dataclass
class Reconciled:
    """What a reconciliation has found; both sides as they were before it."""

    stored: int = 0
    """Items in Redis, removed ones too."""
    stored_checksum: str = ""
    known: int = 0
    """Items that are known here, removed ones too."""
    known_checksum: str = ""
    read: int = 0
    """Items that were missing or older here, and were read."""
    announced: int = 0
    """Items that were missing or older in Redis, and were written there again."""
    unreadable: int = 0
    """Items in Redis that cannot be read; they are left as they are."""


class Behind(Exception):
    """The log is not applied up to where it was a moment ago, so nothing can be compared."""

    exit_code = 1


class Reconciler:
    """Compares id by id; a checksum that is equal spares the way from here to Redis.

    A write reaches Redis first. So what is known here and older or missing there was lost there,
    whatever is written meanwhile; and what was written there before the comparison began is known
    here, once the log is applied up to that moment.
    """

    def __init__(
        self, generation: Generation, store: Store, intake: Intake, follower: Follower
    ) -> None:
        self._generation = generation
        self._store = store
        self._intake = intake
        self._follower = follower

    async def run(self, every_s: float) -> NoReturn:
        """Reconcile every so often, and soon after all items had to be read, at the start too."""
        loads, next_s = self._follower.counts.loads, time.monotonic() + every_s
        while True:
            await asyncio.sleep(LOOK_S)
            has_read_all = self._generation.is_ahead or self._follower.counts.loads != loads
            is_asked = has_read_all or time.monotonic() >= next_s
            if not (is_asked and self._follower.is_current):
                continue
            try:
                await self.reconcile()
            except (StoreUnavailable, Behind) as error:
                logger.info("not reconciled", extra={"reason": str(error)})
                continue
            except Exception:  # one that ends this loop would end all reconciliation, unnoticed
                logger.exception("not reconciled")
                await asyncio.sleep(RETRY_S)
                continue
            loads, self._generation.is_ahead = self._follower.counts.loads, False
            # Not all replicas at once.
            next_s = time.monotonic() + every_s * random.uniform(0.8, 1.2)

    async def reconcile(self) -> Reconciled:
        """Compare and mend.

        Raises:
            StoreUnavailable: The store does not answer; what was mended until then stays.
            Behind: The log was not applied in time.

        """
        end = (await self._store.log.state()).last
        logged = await self._store.revs.highest()
        if not await self._follower.wait_for(str(end), CATCH_UP_S):
            raise Behind(f"the log is applied up to {self._follower.applied}, and goes to {end}")
        done = Reconciled(known=self._generation.changes, known_checksum=self._generation.checksum)
        readable = await self._read(done, logged)
        if readable != self._generation.checksum:
            await self._announce(done)
        RECONCILED.labels("read").inc(done.read)
        RECONCILED.labels("announced").inc(done.announced)
        if done.read or done.announced:
            logger.warning("replica and store differed", extra=vars(done))
        return done

    async def _read(self, done: Reconciled, logged: int) -> str:
        """Take over what is newer in Redis; return the checksum of all there that can be read."""
        stored, readable = Checksum(), Checksum()
        known_rev = self._generation.known_rev
        async for page in self._store.revs.pages(PAGE):
            named = [(one.decode(errors="replace"), rev) for one, rev in page]
            newer = [(one, rev) for one, rev in named if rev > known_rev(one)]
            await self._intake.refresh(newer)
            for one, rev in newer:
                if rev > known_rev(one):
                    done.unreadable += 1
                    readable.remove(one, rev)
                else:
                    done.read += rev <= logged  # else the log is about to tell of it
            done.stored += len(named)
            for one, rev in named:
                stored.add(one, rev)
                readable.add(one, rev)
            await asyncio.sleep(0)
        done.stored_checksum = str(stored)
        return str(readable)

    async def _announce(self, done: Reconciled) -> None:
        """Write to Redis again what it has lost."""
        generation = self._generation
        ids = generation.changed()
        for start in range(0, len(ids), PAGE):
            part = ids[start : start + PAGE]
            known = [generation.known_rev(one) for one in part]  # before Redis is asked
            revs = await self._store.revs.of(part)
            lost = [one for one, ours, rev in zip(part, known, revs, strict=True) if rev < ours]
            items = [
                (item, generation.vector(one))
                for one in lost
                if (item := generation.change(one)) is not None
            ]
            done.announced += await self._store.revs.announce(items, generation.version)
            await asyncio.sleep(0)
