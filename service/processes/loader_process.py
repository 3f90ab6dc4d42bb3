"""The supervisor's handle on one loader process and its workers."""

import asyncio
import contextlib
import os
import pickle
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

from service.child.environment import ENVIRONMENT
from service.processes.control import Channel, Message, Order

# Not `-m`: that would put the user's folder first on the path, where a `service` of theirs may be.
PROGRAM = """
import pickle, sys
sys.path[:] = pickle.load(sys.stdin.buffer)
from service.child.importing import importing
with importing():
    from service.processes.loader import main
sys.exit(main())
"""


class LoaderFailed(Exception):
    """A loader ended before its workers were ready; the message is the one line that says why."""


@dataclass(frozen=True)
class Serving:
    """What every loader of one supervisor is told; times as in `WorkerControl`."""

    application: str
    settings: object
    workers: int
    linger_s: float
    grace_s: float


class LoaderProcess:
    """A loader, from its start to the end of its last worker; used inside a running loop.

    on_handover: called with this and the reason when one of its workers asks for a handover.
    on_end: called with this when the loader process ends, whether or not its workers serve on.
    served: the versions that workers of other loaders serve meanwhile.
    """

    OVERSTAY_S = 2.0  # after grace_s: the time the loader itself needs to see its workers off

    def __init__(
        self,
        serving: Serving,
        listener: socket.socket,
        on_handover: "Callable[[LoaderProcess, str], None]",
        on_end: "Callable[[LoaderProcess], None]",
        *,
        served: Collection[str],
    ) -> None:
        self._on_handover = on_handover
        self._on_end = on_end
        self._grace_s = serving.grace_s
        self._born_s = time.monotonic()
        self._last_words = ""
        self._ready = asyncio.get_running_loop().create_future()
        self._gone = asyncio.Event()
        channel, far_channel = socket.socketpair()
        self._lifeline, far_lifeline = socket.socketpair()
        self._channel = Channel(channel)
        with far_channel, far_lifeline:
            fds = (listener.fileno(), far_channel.fileno(), far_lifeline.fileno())
            self._process = self._start(serving, fds, served)
        self.is_ready = False  # once: all its workers served
        self.serves: list[str] = []  # the versions; none while they wait for something to serve
        self.has_ended = False
        loop = asyncio.get_running_loop()
        loop.add_reader(self._channel.fileno(), self._hear)
        loop.add_reader(self._lifeline.fileno(), self._all_gone)

    @staticmethod
    def _start(
        serving: Serving, fds: tuple[int, int, int], served: Collection[str]
    ) -> "subprocess.Popen[bytes]":
        order = Order(
            serving.application,
            serving.settings,
            serving.workers,
            serving.linger_s,
            serving.grace_s,
            tuple(served),
            os.getpid(),
            *fds,
        )
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, "firstsight loader"],
            stdin=subprocess.PIPE,
            pass_fds=fds,
            start_new_session=True,  # Ctrl-C on the terminal is for the supervisor alone
            env=ENVIRONMENT | os.environ,
        )
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError), process.stdin:
            process.stdin.write(pickle.dumps(sys.path) + pickle.dumps(order))
        return process

    @property
    def pid(self) -> int:
        """The loader's process id, which is its workers' process group too."""
        return self._process.pid

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
            why = f"the loader ended before it was ready, exit code {self._process.returncode}"
            raise LoaderFailed(self._last_words or why)
        return pids

    def stop(self) -> None:
        """Have the workers switch their readiness off and serve on."""
        self._channel.say("stop")

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
        self._process.wait()
        loop = asyncio.get_running_loop()
        for end in (self._channel, self._lifeline):
            if end.fileno() >= 0:
                loop.remove_reader(end.fileno())
                end.close()
        self._gone.set()

    def _signal(self, number: signal.Signals) -> None:
        # The group's number is theirs until the loader is reaped, which only `kill` does.
        if self._process.returncode is None:
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
