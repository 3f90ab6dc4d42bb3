"""The supervisor's handle on the fork server, which is started again when it is gone."""

import contextlib
import os
import pickle
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from multiprocessing.connection import Connection

from service.child.environment import ENVIRONMENT
from service.processes.control import ForkRequest, Order, ReapRequest

# Not `-m`: that would put the user's folder first on the path, where a `service` of theirs may be.
PROGRAM = """
import pickle, sys
sys.path[:] = pickle.load(sys.stdin.buffer)
from service.child.importing import importing
with importing():
    from service.processes.fork_server import main
sys.exit(main())
"""


END_S = 1.0  # which an end takes after it hung up


class ForkFailed(Exception):
    """There is no loader; the message is the one line that says why."""


class ForkServerProcess:
    """Forks loaders of one application; calls wait, and may come from several threads.

    timeout_s: how long an answer, the first of which waits for imports, is waited for.
    """

    def __init__(self, application: str, timeout_s: float) -> None:
        self._application = application
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._ends: tuple[socket.socket | Connection, ...] = ()
        self._is_over = False

    def fork(self, order: Order, ends: Sequence[socket.socket]) -> int:
        """Return the process id of a new loader, which leads a session.

        Args:
            order: What it is told.
            ends: Its sockets, closed here afterwards.

        Raises:
            ForkFailed: The fork server did not start or answer, or had no room for another process.

        """
        with contextlib.ExitStack() as held, self._lock:
            for end in ends:
                held.enter_context(end)
            try:
                if self._process is None or self._process.poll() is not None:
                    self._start()
                self._requests.send(ForkRequest(order))
                socket.send_fds(self._socket, [b"."], [end.fileno() for end in ends])
                answer = self._answer()
            except (OSError, EOFError) as error:
                raise ForkFailed(f"cannot start a loader: {self._end_of() or error}") from error
        if isinstance(answer, str):
            raise ForkFailed(f"cannot start a loader: {answer}")
        assert isinstance(answer, int)
        return answer

    def reap(self, pid: int) -> int | None:
        """Wait until a loader has ended; return its exit code, None where nobody knows it.

        One that outlived the fork server which forked it is nobody's to wait for.
        """
        with self._lock, contextlib.suppress(OSError, EOFError, ForkFailed):
            if self._process is not None:
                self._requests.send(ReapRequest(pid))
                answer = self._answer()
                return answer if isinstance(answer, int) else None
        return None

    def end(self) -> None:
        """End it now, with what it forks or loads; loaders that serve are left alone."""
        self._is_over = True
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        with self._lock:  # who waits for an answer has seen the end by now
            self._hang_up()

    def _hang_up(self) -> None:
        for end in self._ends:
            end.close()
        self._ends = ()

    def _start(self) -> None:
        if self._is_over:
            raise EOFError
        self._hang_up()
        self._socket, theirs = socket.socketpair()
        self._requests = Connection(os.dup(self._socket.fileno()))
        self._ends = (self._socket, self._requests)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", PROGRAM, "firstsight loader"],
                stdin=subprocess.PIPE,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,  # Ctrl-C on the terminal is for the supervisor alone
                env=ENVIRONMENT | os.environ,
            )
            told = (self._application, os.getpid(), theirs.fileno())
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError), self._process.stdin as words:
            words.write(pickle.dumps(sys.path) + pickle.dumps(told))

    def _answer(self) -> object:
        assert self._process is not None
        if not self._requests.poll(self._timeout_s):
            self._process.kill()
            late = f"the fork server did not answer within {self._timeout_s:g} s"
            raise ForkFailed(f"cannot start a loader: {late}")
        return self._requests.recv()

    def _end_of(self) -> str:
        """Say how it ended, which follows its hanging up; nothing if it lives."""
        if self._process is None:
            return ""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return f"the fork server ended, exit code {self._process.wait(timeout=END_S)}"
        return ""
