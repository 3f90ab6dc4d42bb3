"""The supervisor's handle on one loader process and its workers."""

import asyncio
import contextlib
import os
import signal
import socket
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Self

from service.processes.control import Channel, Message, Order
from service.processes.fork_server_process import ForkFailed, ForkServerProcess


class LoaderFailed(Exception):
    """A loader ended before its workers were ready; the message is the one line that says why."""


@dataclass(frozen=True)
class Serving:
    """What every loader of one supervisor is told; times as in `WorkerControl`."""

    settings: object
    workers: int
    linger_s: float
    grace_s: float


class LoaderProcess:
    """A loader, from its start to the end of its last worker; used inside a running loop.

    on_handover: called with this and the reason when one of its workers asks for a handover.
    on_end: called with this when the loader process ends, whether or not its workers serve on.
    """

    OVERSTAY_S = 2.0  # after grace_s: the time the loader itself needs to see its workers off

    def __init__(
        self,
        forks: ForkServerProcess,
        pid: int,
        channel: socket.socket,
        lifeline: socket.socket,
        grace_s: float,
        on_handover: "Callable[[LoaderProcess, str], None]",
        on_end: "Callable[[LoaderProcess], None]",
    ) -> None:
        self._forks = forks
        self.pid = pid
        """Its process id, which is its workers' process group too."""
        self._channel = Channel(channel)
        self._lifeline = lifeline
        self._grace_s = grace_s
        self._on_handover = on_handover
        self._on_end = on_end
        self._born_s = time.monotonic()
        self._last_words = ""
        self._exit_code: int | None = None
        self._ready = asyncio.get_running_loop().create_future()
        self._gone = asyncio.Event()
        self.is_ready = False  # once: all its workers served
        self.serves: list[str] = []  # the versions; none while they wait for something to serve
        self.has_ended = False
        loop = asyncio.get_running_loop()
        loop.add_reader(self._channel.fileno(), self._hear)
        loop.add_reader(self._lifeline.fileno(), self._all_gone)

    @classmethod
    async def forked(
        cls,
        forks: ForkServerProcess,
        serving: Serving,
        listener: socket.socket,
        on_handover: "Callable[[LoaderProcess, str], None]",
        on_end: "Callable[[LoaderProcess], None]",
        *,
        served: Collection[str],
    ) -> Self:
        """Have a loader forked.

        Args:
            forks: Who forks it.
            serving: What it is told.
            listener: What its workers listen on.
            on_handover: See above.
            on_end: See above.
            served: The versions that workers of other loaders serve meanwhile.

        Raises:
            LoaderFailed: There is none.

        """
        order = Order(
            serving.settings, serving.workers, serving.linger_s, serving.grace_s, tuple(served)
        )
        channel, far_channel = socket.socketpair()
        lifeline, far_lifeline = socket.socketpair()
        try:
            pid = await asyncio.to_thread(
                forks.fork, order, (listener.dup(), far_channel, far_lifeline)
            )
        except ForkFailed as error:
            channel.close()
            lifeline.close()
            raise LoaderFailed(str(error)) from error
        return cls(forks, pid, channel, lifeline, serving.grace_s, on_handover, on_end)

    @property
    def is_serving(self) -> bool:
        """Whether it has workers that serve something, though it may have ended itself."""
        return bool(self.serves) and not self._gone.is_set()

    @property
    def lived_s(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._born_s

    async def ready(self) -> list[int]:
        """Wait until all workers serve; return their process ids.

        Raises LoaderFailed when the loader ends first.
        """
        pids: list[int] | None = await self._ready
        if pids is None:
            await self.drain()  # one of its workers may serve already
            why = f"the loader ended before it was ready, exit code {self._exit_code}"
            raise LoaderFailed(self._last_words or why)
        return pids

    def stop(self) -> None:
        """Have the workers switch their readiness off and serve on."""
        self._channel.say("stop")

    def replaced(self) -> None:
        """Tell the workers that others serve in their place, before they are drained."""
        self._channel.say("replaced")

    def refuse(self, reason: str) -> None:
        """Tell the workers why the one that should have taken over cannot."""
        self._channel.say("refused", reason=reason)

    async def drain(self) -> None:
        """Have the workers answer what is in flight and end; kill what is left after the grace.

        A loader that is not ready is told by SIGTERM too: it ends in the middle of its load, and
        of its workers those that do not serve yet end, the others drain.
        """
        with contextlib.suppress(OSError):  # they may be gone already
            self._lifeline.shutdown(socket.SHUT_WR)
        if not self.is_ready:
            self._signal(signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._gone.wait(), self._grace_s + self.OVERSTAY_S)
        self.kill()

    def kill(self) -> None:
        """End loader and workers now, and forget them."""
        self._signal(signal.SIGKILL)
        self._exit_code = self._forks.reap(self.pid)
        loop = asyncio.get_running_loop()
        for end in (self._channel, self._lifeline):
            if end.fileno() >= 0:
                loop.remove_reader(end.fileno())
                end.close()
        self._gone.set()

    def _signal(self, number: signal.Signals) -> None:
        # The group's number is theirs while one of them lives, and until the loader is reaped.
        if not self._gone.is_set():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, number)

    def _hear(self) -> None:
        for message in self._channel.hear():
            self._act_on(message)
        if self._channel.has_ended:
            asyncio.get_running_loop().remove_reader(self._channel.fileno())
            self.has_ended = True
            if not self._ready.done():
                self._ready.set_result(None)
            self._on_end(self)

    def _act_on(self, message: Message) -> None:
        match message["event"]:
            case "ready" if not self._ready.done():
                self.is_ready, self.serves = True, message["serves"]
                self._ready.set_result(message["pids"])
            case "failed":
                self._last_words = message["message"]
            case "handover":
                self._on_handover(self, message["reason"])

    def _all_gone(self) -> None:
        """End of file on the lifeline: no process of this loader holds it any more."""
        asyncio.get_running_loop().remove_reader(self._lifeline.fileno())
        self._gone.set()
