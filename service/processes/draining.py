"""A uvicorn server that leaves without losing a request, when its worker's lifeline is cut."""

import asyncio
import errno
import logging
import math
import os
import socket
from types import FrameType

import uvicorn

from service.child.importing import settle
from service.child.yielding import yield_alone
from service.processes.control import WorkerControl

logger = logging.getLogger(__name__)

CLOSE = (b"connection", b"close")


class DrainingServer(uvicorn.Server):
    """Serves until the lifeline is cut, then stops accepting and answers what still comes.

    uvicorn alone closes idle keep-alive connections at once, and so resets a request that is on
    its way. Here each connection is answered once more, with `Connection: close`, for up to
    `linger_s`; what is in flight after that has until `grace_s`. With `linger_s` at the
    keep-alive timeout no connection is closed that would not have been closed anyway.

    On "stop" (the whole service leaves) readiness goes off first (`control.is_leaving`), and
    the linger shrinks, since nobody takes the socket over.
    """

    STOP_LINGER_S = 0.5

    def __init__(self, config: uvicorn.Config, control: WorkerControl) -> None:
        config.timeout_graceful_shutdown = max(1, math.floor(control.grace_s - control.linger_s))
        super().__init__(config)
        self._control = control
        self._linger_s = control.linger_s

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start; once connections are accepted the loader is told.

        Raises OSError where nobody can listen: somebody else began to since the address was taken.
        """
        await super().startup(sockets)
        if not self.started or self.should_exit:
            return
        if any(one.fileno() < 0 for one in sockets or ()):
            # uvloop closes what it cannot listen on, and says nothing.
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
        settle()
        loop = asyncio.get_running_loop()
        loop.add_reader(self._control.channel.fileno(), self._hear)
        loop.add_reader(self._control.lifeline.fileno(), self._leave)
        self._control.ready()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Drain on a signal too; a worker that does not serve yet has nothing to drain."""
        if not self.started:
            os._exit(128 + sig)
        super().handle_exit(sig, frame)

    def _hear(self) -> None:
        for message in self._control.channel.hear():
            match message["event"]:
                case "stop":
                    self._control.is_leaving = True
                    self._linger_s = min(self._linger_s, self.STOP_LINGER_S)
                    self._send_close()
                case "replaced":
                    self._control.is_replaced = True
                case "refused":
                    self._control.refusal = message["reason"]
        if self._control.channel.has_ended:  # the loader is gone; the supervisor will replace us
            asyncio.get_running_loop().remove_reader(self._control.channel.fileno())

    def _leave(self) -> None:
        asyncio.get_running_loop().remove_reader(self._control.lifeline.fileno())
        self._stop_accepting()  # now: the address must be free if the supervisor was killed
        self.should_exit = True

    def _stop_accepting(self) -> None:
        self._control.is_leaving = True
        for server in self.servers:
            server.close()
        self._send_close()

    def _send_close(self) -> None:
        """Have every answer from now on end its connection."""
        if CLOSE not in self.server_state.default_headers:
            self.server_state.default_headers = [*self.server_state.default_headers, CLOSE]
        for connection in self.server_state.connections:  # what is in flight has its headers
            if (cycle := getattr(connection, "cycle", None)) and not cycle.response_complete:
                connection.shutdown()  # which only marks its answer as the last

    async def on_tick(self, counter: int) -> bool:
        """Do uvicorn's housekeeping, which renews the default headers each second."""
        should_exit = await super().on_tick(counter)
        if self._control.is_leaving:
            self._send_close()
        return should_exit

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting, linger, then close what is idle and wait for what is in flight."""
        self._stop_accepting()
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        await asyncio.sleep(0.05)  # what was accepted just now becomes a connection
        while self.server_state.connections and not self.force_exit:
            if loop.time() - began_s >= self._linger_s:  # a late "stop" shortens it
                break
            await asyncio.sleep(0.05)
        yield_alone()  # what is left is for nobody who waits
        await super().shutdown(sockets)
