"""The loader process: loads a generation once, then forks the workers that share its memory."""

import contextlib
import logging
import os
import select
import signal
import socket
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NoReturn

from export.contract.errors import ContractError
from service.child.importing import settle
from service.child.leaving import leave
from service.child.parent_death import die_with_parent
from service.child.yielding import yielding
from service.metrics_folder import MetricsFolder
from service.processes.backoff import Backoff
from service.processes.control import Application, Channel, Message, Order, WorkerControl
from service.processes.free_memory import give_back

logger = logging.getLogger(__name__)

MOST_STILLBORN = 3  # workers in a row that ended before they were ready


class LoaderError(Exception):
    """The loader cannot go on; the message is the one line that says why."""


@dataclass
class Worker:
    """A forked worker, as its loader sees it."""

    pid: int
    channel: Channel
    born_s: float = field(default_factory=time.monotonic)
    is_ready: bool = False
    last_words: str = ""


class Loader:
    """Keeps `order.workers` workers alive on one generation until its lifeline is cut."""

    def __init__(
        self,
        order: Order,
        application: Application,
        listener: socket.socket,
        channel: socket.socket,
        lifeline: socket.socket,
    ) -> None:
        self._order = order
        self._application = application
        self._listener = listener
        self._supervisor = Channel(channel)
        self._lifeline = lifeline
        self._workers: list[Worker] = []
        self._backoff = Backoff(first_s=0.05, most_s=5.0)
        self._fork_at_s = 0.0
        self._stillborn = 0
        self._has_been_ready = False
        self._serves: list[str] = []
        self._is_cut = False

    def run(self) -> int:
        """Load, serve, drain; returns the exit code."""
        try:
            generation = self._load()
            die_with_parent(0, os.getppid())  # from here the lifeline tells
            self._serves = [*self._application.versions(generation)]
            while not self._is_cut:
                self._fill(generation)
                self._hear(self._until_fork_s())
        except LoaderError as error:
            self._supervisor.say("failed", message=str(error))
            return 1
        self._see_off()
        return 0

    def _load(self) -> Any:
        try:
            order = self._order
            with _giving_way(order):
                generation = self._application.load(order.settings, served=order.served)
        except (ContractError, OSError) as error:
            raise LoaderError(str(error)) from error
        except Exception as error:
            logger.exception("loading failed")
            raise LoaderError(f"{type(error).__name__}: {error}") from error
        # Collected once, then never visited again: a visit writes to each object's header, and
        # so would copy the pages that workers share.
        settle()
        give_back()
        return generation

    def _fill(self, generation: Any) -> None:
        while len(self._workers) < self._order.workers and time.monotonic() >= self._fork_at_s:
            ours, theirs = socket.socketpair()
            pid = os.fork()
            if pid == 0:
                ours.close()
                self._be_worker(generation, Channel(theirs))
            theirs.close()
            self._workers.append(Worker(pid, Channel(ours)))

    def _be_worker(self, generation: Any, channel: Channel) -> NoReturn:
        # An end that a sibling keeps open would hide the end of file from the one who waits for it.
        for other in [self._supervisor, *(worker.channel for worker in self._workers)]:
            other.close()
        fold_metrics(os.getpid())
        order = self._order
        control = WorkerControl(channel, self._lifeline, order.linger_s, order.grace_s)
        code = 1
        try:
            self._application.run_worker(order.settings, generation, self._listener, control)
            code = 0
        except Exception as error:
            logger.exception("worker failed")
            control.failed(f"{type(error).__name__}: {error}")
        finally:  # also on SystemExit: the loader's own clean-up is not for a worker to run
            leave(code)

    def _until_fork_s(self) -> float | None:
        if len(self._workers) == self._order.workers:
            return None
        return max(0.0, self._fork_at_s - time.monotonic())

    def _hear(self, timeout_s: float | None) -> None:
        """Wait for whatever comes first, and act on it."""
        ends: list[socket.socket | Channel] = [worker.channel for worker in self._workers]
        if not self._is_cut:
            ends += [self._lifeline, self._supervisor]
        spoken, _, _ = select.select(ends, [], [], timeout_s)
        for worker in [worker for worker in self._workers if worker.channel in spoken]:
            self._listen_to(worker)
        if self._supervisor in spoken or self._lifeline in spoken:  # its last word came before
            for message in self._supervisor.hear():
                self._relay(message)
        if self._lifeline in spoken or self._supervisor.has_ended:
            self._is_cut = True

    def _listen_to(self, worker: Worker) -> None:
        for message in worker.channel.hear():
            match message["event"]:
                case "ready":
                    worker.is_ready = True
                    self._stillborn = 0
                case "failed":
                    worker.last_words = message["message"]
                case "handover":
                    self._supervisor.say("handover", reason=message["reason"])
        if worker.channel.has_ended:
            self._bury(worker)
        ready = len(self._workers) == self._order.workers and all(w.is_ready for w in self._workers)
        if ready and not self._has_been_ready:
            self._has_been_ready = True
            pids = [worker.pid for worker in self._workers]
            self._supervisor.say("ready", pids=pids, serves=self._serves)

    def _relay(self, message: Message) -> None:
        for worker in self._workers:
            worker.channel.say(**message)

    def _bury(self, worker: Worker) -> None:
        """Reap a worker that ended, and set the time for its successor."""
        worker.channel.close()
        self._workers.remove(worker)
        _, status = os.waitpid(worker.pid, 0)
        code = os.waitstatus_to_exitcode(status)
        fold_metrics()
        if self._is_cut:
            return
        logger.warning("worker ended", extra={"pid": worker.pid, "exit_code": code})
        lived_s = time.monotonic() - worker.born_s
        self._fork_at_s = time.monotonic() + self._backoff.wait_s(lived_s)
        self._stillborn += not worker.is_ready
        if self._stillborn >= MOST_STILLBORN:
            why = worker.last_words or f"exit code {code}"
            raise LoaderError(f"{self._stillborn} workers ended before they were ready: {why}")

    def _see_off(self) -> None:
        """Wait for the workers, who saw the lifeline cut themselves; kill who overstays."""
        self._listener.close()
        leave_at_s = time.monotonic() + self._order.grace_s
        while self._workers and (left_s := leave_at_s - time.monotonic()) > 0:
            self._hear(left_s)
        self._kill(self._workers)

    def _kill(self, workers: Iterable[Worker]) -> None:
        for worker in list(workers):
            logger.warning("worker overstayed its grace", extra={"pid": worker.pid})
            os.kill(worker.pid, signal.SIGKILL)
            self._bury(worker)


def fold_metrics(*ended: int) -> None:
    """Have what ended processes counted take no more room; see `MetricsFolder.fold`."""
    folder = MetricsFolder.of_environment()
    if folder is not None:
        try:
            folder.fold(*ended)
        except Exception:  # whatever is there: what is served does not depend on it
            logger.exception("metrics not folded")


def _giving_way(order: Order) -> contextlib.AbstractContextManager[None]:
    """Give way to those who serve meanwhile; where nobody does, a load must end soon."""
    return yielding() if order.served else contextlib.nullcontext()
