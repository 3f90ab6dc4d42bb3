"""Owns the listening socket and the embedded Redis, and has the loaders forked that serve.

Small on purpose: no torch, hnswlib, onnxruntime, numpy, fastapi or driver of Redis. It holds
nothing that a load or a request could bring down, so the socket and the data outlive both (decision
0001).
"""

import asyncio
import contextlib
import errno
import logging
import signal
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import NoReturn

from service.processes.backoff import Backoff
from service.processes.fork_server_process import ForkServerProcess
from service.processes.loader_process import LoaderFailed, LoaderProcess, Serving
from service.redis.embedded import EmbeddedRedis, RedisFailed

logger = logging.getLogger(__name__)

LEAVE = (signal.SIGTERM, signal.SIGINT)
RELEASE_S = 1.0
LOADER_WAITS_S = (0.5, 60.0)
LOOK_S = 0.2  # how often the embedded Redis is looked at


class StartFailed(Exception):
    """Serving could not start; the message is the one line for the user, the exit code is 3."""


@dataclass(frozen=True)
class Plan:
    """All that a supervisor needs to know.

    application: a module with `load` and `run_worker` (`control.Application`).
    settings_for: Redis URL -> the picklable settings handed to the application.
    redis: the URL of a Redis of yours; None starts the embedded one in `data_folder`/redis.
    port: 0 takes a free one.
    load_timeout_s: a loader that is not ready by then is given up.
    readiness_off_s: at the end, how long workers serve on with readiness off, so that gateways
        look elsewhere; linger_s, grace_s: see `control.WorkerControl`.
    """

    application: str
    settings_for: Callable[[str], object]
    host: str
    port: int
    workers: int
    redis: str | None
    data_folder: Path
    linger_s: float = 5.0
    grace_s: float = 30.0
    readiness_off_s: float = 0.0
    load_timeout_s: float = 900.0


def bind(host: str, port: int) -> socket.socket:
    """Take an address; StartFailed if it cannot be had.

    Nobody listens on it before the first worker serves: a connection is refused until then, and a
    gateway asks another replica, where one that waited would wait for a whole load. An address in
    use is tried again for a second: the workers of a supervisor that was killed need a moment to
    let go of it.
    """
    give_up_s = time.monotonic() + RELEASE_S
    while True:
        try:
            return _bind(host, port)
        except OSError as error:
            is_used = error.errno == errno.EADDRINUSE
            if is_used and time.monotonic() < give_up_s:
                time.sleep(0.05)
                continue
            remedy = "; choose another with --port" if is_used else ""
            why = f"cannot listen on {host}:{port}: {error.strerror}{remedy}"
            raise StartFailed(why) from error


def _bind(host: str, port: int) -> socket.socket:
    family, kind, _, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, kind)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError:
        listener.close()
        raise
    return listener


def serve(plan: Plan) -> None:
    """Serve until SIGTERM or SIGINT; SIGHUP hands over to a new loader on the same socket.

    Raises StartFailed when serving cannot start. A second SIGTERM or SIGINT kills what drains; one
    that comes before anything serves ends it by SystemExit(0), so that Redis is stopped in order.
    """
    with _hearing(), bind(plan.host, plan.port) as listener, _store(plan) as (url, embedded):
        asyncio.run(Supervisor(plan, listener, url, embedded).run())


@contextlib.contextmanager
def _hearing() -> Iterator[None]:
    """Leave in order on a signal that comes before there is a loop that hears it."""
    before = {one: signal.signal(one, _leave_at_once) for one in LEAVE}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _leave_at_once(number: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(0)


@contextlib.contextmanager
def _store(plan: Plan) -> Iterator[tuple[str, EmbeddedRedis | None]]:
    if plan.redis is not None:
        yield plan.redis, None
        return
    embedded = EmbeddedRedis(plan.data_folder / "redis")
    try:
        url = embedded.start()
    except RedisFailed as error:
        raise StartFailed(str(error)) from error
    try:
        yield url, embedded
    finally:
        embedded.stop()


class Supervisor:
    """Keeps one loader serving, and the embedded Redis running, until told to stop."""

    def __init__(
        self, plan: Plan, listener: socket.socket, url: str, embedded: EmbeddedRedis | None
    ) -> None:
        self._plan = plan
        self._listener = listener
        self._embedded = embedded
        self._serving = Serving(plan.settings_for(url), plan.workers, plan.linger_s, plan.grace_s)
        self._forks = ForkServerProcess(plan.application, plan.load_timeout_s)
        self._loaders: list[LoaderProcess] = []  # the serving one last; before it, who drains
        self._replace = asyncio.Event()
        self._asked: str | None = None  # why another loader was last asked for, until one serves
        self._stop = asyncio.Event()
        self._force = asyncio.Event()

    async def run(self) -> None:
        """Start the first loader and keep things as they should be; StartFailed if it fails."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, self._ask, "SIGHUP")
        for number in LEAVE:
            loop.add_signal_handler(number, self._stop_or_force)
        duties = [
            asyncio.create_task(duty)
            for duty in (self._stop.wait(), self._keep_serving(), self._keep_redis())
        ]
        done, _ = await asyncio.wait(duties, return_when=asyncio.FIRST_COMPLETED)
        for duty in duties:
            duty.cancel()
        await asyncio.gather(*duties, return_exceptions=True)
        await self._leave()
        for duty in done:
            duty.result()

    def _ask(self, reason: str) -> None:
        if reason != self._asked:  # while a load is refused every worker asks once a second
            logger.info("handover asked for", extra={"reason": reason})
        self._asked = reason
        self._replace.set()

    def _stop_or_force(self) -> None:
        if self._stop.is_set():
            logger.warning("forced to end")
            for loader in self._loaders:
                loader.kill()
            self._force.set()
        self._stop.set()

    async def _keep_serving(self) -> None:
        """Replace the loader when that is asked for, or when it ended; one at a time."""
        try:
            await self._start_loader()
        except LoaderFailed as error:
            raise StartFailed(str(error)) from error
        host, port = self._listener.getsockname()[:2]
        logger.info("ready", extra={"host": host, "port": port})
        backoff = Backoff(*LOADER_WAITS_S)
        while True:
            await self._replace.wait()
            old = self._loaders[-1]
            if old.has_ended:  # its workers may serve on, but nobody replaces them
                logger.error("loader ended", extra={"pid": old.pid})
                await asyncio.sleep(backoff.wait_s(old.lived_s))
            self._replace.clear()
            try:
                await self._start_loader()
            except LoaderFailed as error:
                logger.error("handover failed", extra={"reason": str(error)})
                old.refuse(str(error))
                await asyncio.sleep(backoff.wait_s(0))
                if old.has_ended:
                    self._replace.set()
                continue
            if not old.has_ended:
                backoff = Backoff(*LOADER_WAITS_S)
            old.replaced()
            await old.drain()
            self._loaders.remove(old)

    async def _start_loader(self) -> None:
        """Start a loader and wait until its workers serve."""
        loader = await LoaderProcess.forked(
            *(self._forks, self._serving, self._listener, self._asked_by, self._ended),
            served={one for loader in self._loaders if loader.is_serving for one in loader.serves},
        )
        self._loaders.append(loader)
        try:
            pids = await asyncio.wait_for(loader.ready(), self._plan.load_timeout_s)
        except (LoaderFailed, TimeoutError) as error:
            await loader.drain()
            self._loaders.remove(loader)
            late = f"the loader was not ready within {self._plan.load_timeout_s:g} s"
            raise LoaderFailed(str(error) or late) from error
        self._asked = None
        logger.info("workers serve", extra={"loader": loader.pid, "workers": pids})

    def _asked_by(self, loader: LoaderProcess, reason: str) -> None:
        if loader is self._loaders[-1]:  # not one that is being replaced already
            self._ask(reason)

    def _ended(self, loader: LoaderProcess) -> None:
        if loader.is_ready and loader is self._loaders[-1]:
            self._replace.set()

    async def _keep_redis(self) -> None:
        backoff = Backoff(first_s=0.1, most_s=5.0)
        lived_s = 0.0
        while True:
            await asyncio.sleep(LOOK_S)
            lived_s += LOOK_S
            if self._embedded is not None and self._embedded.pid is None:
                logger.error("embedded redis ended, started again")
                await asyncio.sleep(backoff.wait_s(lived_s))
                lived_s = 0.0
                try:
                    self._embedded.spawn()
                except OSError as error:
                    logger.error("embedded redis not started", extra={"reason": str(error)})

    async def _leave(self) -> None:
        """Readiness off, then the socket, then the workers; Redis is stopped by the caller."""
        if not any(loader.is_ready for loader in self._loaders):
            self._forks.end()  # nobody waits for a load any more
        for loader in self._loaders:
            loader.stop()
        if self._loaders and self._stop.is_set():
            with contextlib.suppress(TimeoutError):  # nobody forces it
                await asyncio.wait_for(self._force.wait(), self._plan.readiness_off_s)
        self._listener.close()  # ours first, so that a late client is refused and not left waiting
        await asyncio.gather(*(loader.drain() for loader in self._loaders))
        self._forks.end()
