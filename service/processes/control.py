"""What supervisor, fork server, loader and workers say to each other.

The supervisor asks the fork server for a loader (`ForkRequest`, with the loader's sockets), and to
wait for its end (`ReapRequest`). Then it is one JSON object a line, and a lifeline:

    supervisor ══ channel ══ loader ══ channel ══ worker     one way "ready", "failed", "handover",
        ║                      ║                    ║        the other way "stop", "replaced",
        ║                      ║                    ║        "refused"
        ╚═══════════════ lifeline ══════╩═════════════╝      end of file: drain and go

The lifeline is one socket pair for a loader with all its workers. The supervisor cuts it to make
them drain; the kernel cuts it when the supervisor dies, however it dies; and when the last of them
is gone the supervisor reads end of file in its turn.
"""

import json
import os
import socket
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Protocol

Message = dict[str, Any]
ENDS = 3
"""The sockets that go with a `ForkRequest`."""


class Channel:
    """One end of a socket pair that carries JSON objects, one a line."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._partial = b""
        self.has_ended = False

    def fileno(self) -> int:
        """Name the descriptor, so that a selector or an event loop can wait for it."""
        return self._sock.fileno()

    def say(self, event: str, **facts: object) -> None:
        """Send one message; one that the other end no longer hears is dropped."""
        line = json.dumps({"event": event, **facts}).encode() + b"\n"
        try:
            self._sock.sendall(line)
        except OSError:
            self.has_ended = True

    def hear(self) -> list[Message]:
        """Return the messages that have come, without waiting; sets `has_ended` at end of file."""
        try:
            data = self._sock.recv(65536, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return []
        except OSError:
            data = b""
        self.has_ended = self.has_ended or not data
        *lines, self._partial = (self._partial + data).split(b"\n")
        return [json.loads(line) for line in lines]

    def close(self) -> None:
        """Close this end."""
        self._sock.close()


@dataclass(frozen=True)
class Order:
    """What a loader is told (pickled; secrets stay out of argv)."""

    settings: object  # handed on unread
    workers: int
    linger_s: float
    grace_s: float
    served: tuple[str, ...]  # versions that workers of other loaders serve meanwhile


@dataclass(frozen=True)
class ForkRequest:
    """Asks for a loader, and is answered with its process id, or with why there is none.

    After it go the loader's sockets: what its workers listen on, its channel and its lifeline.
    """

    order: Order


@dataclass(frozen=True)
class ReapRequest:
    """Asks to wait for a loader's end, and is answered with its exit code."""

    pid: int


class WorkerControl:
    """A worker's side: says when it serves, asks for a handover, knows when it must leave.

    linger_s: how long a draining worker waits for idle keep-alive connections to speak once more.
    grace_s: after so long a draining worker is killed by its loader.
    """

    def __init__(
        self, channel: Channel, lifeline: socket.socket, linger_s: float, grace_s: float
    ) -> None:
        self.channel = channel
        self.lifeline = lifeline
        self.linger_s = linger_s
        self.grace_s = grace_s
        self.is_leaving = False  # readiness is off, or draining has begun
        self.is_replaced = False  # others serve in its place what it serves
        self.refusal: str | None = None  # why the last handover failed

    @classmethod
    def alone(cls) -> "WorkerControl":
        """Return a control with nobody at the other end, for an application run by itself."""
        near, far = socket.socketpair()
        lifeline, keep = socket.socketpair()
        control = cls(Channel(near), lifeline, linger_s=0.0, grace_s=1.0)
        control._held = (far, keep)  # an end that is collected is an end that is closed
        return control

    _held: tuple[socket.socket, ...] = ()

    def ready(self) -> None:
        """Say that this worker accepts connections; `DrainingServer` does it."""
        self.channel.say("ready", pid=os.getpid())

    def failed(self, message: str) -> None:
        """Say in one line why this worker ends."""
        self.channel.say("failed", message=message)

    def ask_handover(self, reason: str) -> None:
        """Ask for a new loader on the same socket, since only that one may load or rebuild.

        Asked again while one is under way it changes nothing; whoever asks looks again later,
        for a handover may fail.
        """
        self.channel.say("handover", reason=reason)

    def close(self) -> None:
        """Close both ends that are ours, and those of `alone`."""
        self.channel.close()
        self.lifeline.close()
        for end in self._held:
            end.close()


class Application(Protocol):
    """What a loader serves; a module with these three functions is one."""

    def load(self, settings: Any, *, served: Collection[str]) -> Any:
        """Return the generation to serve, None if there is none: all that is heavy, before a fork.

        served: the versions that others serve meanwhile, none at a start. What would serve less
        than they may do is then no good generation; raise, and they go on.

        It may configure logging. A thread that it starts does not exist in the workers, so no
        worker may use an onnxruntime session made here (decision 0001). What it raises stops
        the loader: for a ContractError or OSError its text is the line that the user reads.
        """

    def versions(self, generation: Any) -> Collection[str]:
        """Name the versions that a generation serves; none where there is none."""

    def run_worker(
        self, settings: Any, generation: Any, sock: socket.socket, control: WorkerControl
    ) -> None:
        """Serve on `sock` until told to leave; runs in a fork, `DrainingServer` does the rest."""
