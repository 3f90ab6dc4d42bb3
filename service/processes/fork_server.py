"""The fork server: imports once what loaders need, then forks a loader for each order.

An import of the application takes two thirds of a load's CPU. Here it is taken once, before anybody
is served; a handover beside requests costs the bundle alone, and all loaders share the code.
"""

import importlib
import logging
import os
import pickle
import signal
import socket
from multiprocessing.connection import Connection
from typing import IO, NoReturn, cast

from service.child.importing import importing
from service.child.leaving import leave
from service.child.parent_death import die_with_parent
from service.processes.control import ENDS, Application, ForkRequest, Order, ReapRequest
from service.processes.loader import Loader, fold_metrics

logger = logging.getLogger(__name__)


class ForkServer:
    """Answers the supervisor, one request after the other, until that hangs up."""

    def __init__(self, requests: socket.socket, application: Application) -> None:
        self._socket = requests
        self._requests = Connection(os.dup(requests.fileno()))
        self._application = application

    def run(self) -> int:
        """Fork and reap; returns the exit code."""
        while True:
            try:
                request: ForkRequest | ReapRequest = self._requests.recv()
            except EOFError:
                return 0
            match request:
                case ForkRequest(order):
                    _, fds, _, _ = socket.recv_fds(self._socket, 1, ENDS)
                    self._requests.send(self._fork(order, fds))
                case ReapRequest(pid):
                    self._requests.send(_reap(pid))

    def _fork(self, order: Order, fds: list[int]) -> int | str:
        """Return the loader's process id, or why there is none."""
        born, bears = os.pipe()
        parent = os.getpid()
        try:
            pid = os.fork()
        except OSError as error:
            pid, failed = -1, str(error)
        if pid == 0:
            os.close(born)
            self._requests.close()
            self._socket.close()
            os.setsid()  # Ctrl-C on the terminal is for the supervisor alone
            os.close(bears)
            self._be_loader(order, fds, parent)
        for fd in (bears, *fds):
            os.close(fd)
        if pid > 0:
            os.read(born, 1)  # until it leads its group, by whose number it is ended
        os.close(born)
        return pid if pid > 0 else failed

    def _be_loader(self, order: Order, fds: list[int], parent: int) -> NoReturn:
        code = 1
        try:
            die_with_parent(signal.SIGKILL, parent)  # nobody sees the lifeline during a load
            fold_metrics(os.getpid())  # the application opens files of this process
            ends = [socket.socket(fileno=fd) for fd in fds]
            code = Loader(order, self._application, *ends).run()
        except Exception:
            logger.exception("loader failed")
        finally:
            leave(code)


def _reap(pid: int) -> int | None:
    """Wait for the end of a loader; return its exit code, None for one of another fork server."""
    try:
        _, status = os.waitpid(pid, 0)
    except ChildProcessError:
        return None
    return os.waitstatus_to_exitcode(status)


def main(told: IO[bytes]) -> int:
    """Import the application and answer the supervisor, who is the only caller."""
    name, fd = pickle.load(told)  # noqa: S301 - of the supervisor
    fold_metrics(os.getpid())  # the application opens files of this process
    with importing():
        application = cast(Application, importlib.import_module(name))
    return ForkServer(socket.socket(fileno=fd), application).run()
