"""The supervisor's handle on the fork server, which is started again when it is gone."""

import contextlib
import os
import pickle
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection
from typing import IO

from service.child.environment import ENVIRONMENT
from service.child.libraries import LIBRARIES
from service.processes.control import ForkRequest, Order, ReapRequest

# Not `-m`: that would put the user's folder first on the path, where a `service` of theirs may be.
PROGRAM = """
import os, pickle, sys
told = sys.stdin.buffer
sys.path[:] = pickle.load(told)
from service.child.libraries import import_libraries
import_libraries(*pickle.load(told))
os.environ.update(pickle.load(told))  # by which what is imported next decides about metrics
from service.child.importing import importing
with importing():
    from service.processes.fork_server import main
sys.exit(main(told))
"""


END_S = 1.0  # which an end takes after it hung up


class Interpreter:
    """A process that imports libraries until it is told to be a fork server."""

    def __init__(self, libraries: Sequence[str] = ()) -> None:
        self.path = [*sys.path]
        self.socket, theirs = socket.socketpair()
        with theirs:
            self._fd = theirs.fileno()
            self.process = subprocess.Popen(
                [sys.executable, "-c", PROGRAM, "firstsight loader"],
                stdin=subprocess.PIPE,
                pass_fds=(self._fd,),
                start_new_session=True,  # Ctrl-C on the terminal is for the supervisor alone
                env=ENVIRONMENT | os.environ,
            )
        self._tell(self.path, (os.getpid(), libraries))

    def become(self, application: str) -> None:
        """Have it serve forks of an application, with the environment as it is by now."""
        self._tell(dict(os.environ), (application, self._fd))
        with contextlib.suppress(BrokenPipeError):
            self._stdin.close()

    def end(self) -> None:
        """End it now."""
        self.process.kill()
        self.process.wait()
        with contextlib.suppress(BrokenPipeError):
            self._stdin.close()
        self.socket.close()

    def _tell(self, *words: object) -> None:
        with contextlib.suppress(BrokenPipeError):  # its end is seen by who waits for its answer
            self._stdin.write(b"".join(map(pickle.dumps, words)))
            self._stdin.flush()

    @property
    def _stdin(self) -> IO[bytes]:
        assert self.process.stdin is not None
        return self.process.stdin


_begun: list[Interpreter] = []  # by `begun`, and not taken yet


@contextlib.contextmanager
def begun() -> Iterator[None]:
    """Start the interpreter of the first fork server, which ends with the block if nobody takes it.

    It imports while its supervisor does, of two cores; so a service is ready a tenth of a second
    sooner.
    """
    _begun.append(Interpreter(LIBRARIES))
    try:
        yield
    finally:
        while _begun:
            _begun.pop().end()


def _take_begun() -> Interpreter | None:
    """Return the one that was begun, unless it is gone or imports from elsewhere than we do."""
    if not _begun:
        return None
    found = _begun.pop()
    if found.process.poll() is None and found.path == sys.path:
        return found
    found.end()
    return None


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
                if self._is_gone():
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

    def _is_gone(self) -> bool:
        """Whether there is none or it hung up, which its exit code may follow a moment later.

        Nothing is asked of it now, so all that there can be to read is its end.
        """
        return self._process is None or self._process.poll() is not None or self._requests.poll()

    def _start(self) -> None:
        if self._is_over:
            raise EOFError
        self._hang_up()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        interpreter = _take_begun() or Interpreter()
        self._process, self._socket = interpreter.process, interpreter.socket
        self._requests = Connection(os.dup(self._socket.fileno()))
        self._ends = (self._socket, self._requests)
        interpreter.become(self._application)

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
