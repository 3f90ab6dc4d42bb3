"""The circuit breaker: spares callers the wait for a Redis that has stopped answering."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from typing import Final

from circuitbreaker import STATE_HALF_OPEN, CircuitBreaker
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from service.store.base import StoreUnavailable
from service.store.connection import unavailable
from service.store.task import end
from service.store.within import Within

logger = logging.getLogger(__name__)

FAILURES: Final = 3
"""So many calls in a row without a reply open it; one alone may be a busy moment of ours."""

PAUSE_S: Final = 0.5
"""From an opening, or a failed probe, to the next probe."""

PROBE_S: Final = 1.0
"""The longest a probe may take; with the pause it bounds how late a recovery is seen."""

LOOK_S: Final = 0.05

SILENCE: Final = (RedisConnectionError, RedisTimeoutError, OSError)
"""No reply, or half of one. An error is a reply: whoever gets one has not waited."""


class Breaker:
    """Bounds the calls of one client in time, and refuses them at once while it is open.

    A task of its own probes an open one, so that no request waits for a probe: while Redis is
    away or slow, all are refused at once, and the first probe that is answered lets them in.

    timeout_s: of one call as a whole: waiting for a connection, making it, and the reply.
    on_change: called when it has opened, and when it has closed.
    """

    def __init__(
        self, name: str, client: Redis, timeout_s: float, on_change: Callable[[], None]
    ) -> None:
        self._name = name
        self._client = client
        self._timeout_s = timeout_s
        self._on_change = on_change
        self._circuit = CircuitBreaker(FAILURES, PAUSE_S, expected_exception=SILENCE)
        self._was_open = False
        self._probing: asyncio.Task[None] | None = None

    @property
    def is_open(self) -> bool:
        """Whether calls are refused; it stays so until a probe is answered."""
        return not self._circuit.closed

    def answering(self) -> contextlib.AbstractAsyncContextManager[None]:
        """Turn whatever goes wrong with a call into StoreUnavailable, and count it.

        Raises:
            StoreUnavailable: Also at once, without a call, while the breaker is open.

        """
        if self.is_open:
            raise StoreUnavailable(f"the breaker of {self._name} is open")
        return self._counted(self._timeout_s)

    async def close(self) -> None:
        """End the probes."""
        await end(self._probing)

    @contextlib.asynccontextmanager
    async def _counted(self, timeout_s: float) -> AsyncIterator[None]:
        """Count a call. One that is cancelled tells nothing; the library takes it for a success."""
        try:
            async with Within(timeout_s):
                yield
        except SILENCE as error:
            with contextlib.suppress(type(error)), self._circuit:
                raise
            self._note(str(error))
            raise unavailable(error) from error
        except RedisError as error:
            self._circuit.reset()
            self._note("")
            raise unavailable(error) from error
        self._circuit.reset()
        self._note("")

    def _note(self, reason: str) -> None:
        if self.is_open == self._was_open:
            return
        self._was_open = self.is_open
        if self.is_open:
            logger.warning("breaker opened", extra={"calls": self._name, "reason": reason})
            if self._probing is None or self._probing.done():
                self._probing = asyncio.get_running_loop().create_task(self._probe())
        else:
            logger.warning("breaker closed", extra={"calls": self._name})
        self._on_change()

    async def _probe(self) -> None:
        while self.is_open:
            await asyncio.sleep(LOOK_S)
            if self._circuit.state == STATE_HALF_OPEN:
                try:
                    async with self._counted(min(self._timeout_s, PROBE_S)):
                        await self._client.ping()
                except StoreUnavailable as error:
                    logger.debug("probe failed", extra={"reason": str(error)})
                except Exception:  # who ends the probes keeps the breaker open for good
                    logger.exception("probe failed")
