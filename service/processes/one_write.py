"""uvicorn's protocol, with an answer's head and body sent by one call of the system."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_BYTES = 65_536  # of one request: a query of 8 KiB and what is around it, many times over


class OneWrite:
    """A transport that holds what is written until the answer is whole, or the loop's turn is over.

    uvicorn writes head and body apart, so that each answer costs the server two calls of the
    system, and often wakes its client twice.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._held: list[bytes] = []

    def write(self, data: bytes) -> None:
        """Take data to be sent."""
        if not self._held:
            self._loop.call_soon(self.flush)
        self._held.append(data)

    def flush(self) -> None:
        """Send what is held."""
        if self._held:
            held, self._held = self._held, []
            self._transport.write(b"".join(held))

    def close(self) -> None:
        """Send what is held, then close."""
        self.flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        """Do all else as the transport does."""
        return getattr(self._transport, name)


class OneWriteProtocol(HttpToolsProtocol):
    """HTTP as uvicorn speaks it with httptools, but that heads are bounded, in bytes and in time.

    A connection on which more than `HEAD_BYTES` come before a head is whole is closed.

    head_timeout_s: how long a connection may be in the midst of a head, or without its first; it
        is closed then. How long one is kept on which nothing is sent after an answer is uvicorn's.
    """

    transport: OneWrite  # type: ignore[assignment]  # with all that uvicorn asks of a transport

    def __init__(self, *args: Any, head_timeout_s: float, **options: Any) -> None:
        super().__init__(*args, **options)
        self._head_timeout_s = head_timeout_s
        self._until_head: asyncio.TimerHandle | None = None
        self._head_bytes: int | None = None  # of the head that is being read
        self._heads = 0  # that began in what was last read

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection over."""
        super().connection_made(OneWrite(transport, self.loop))  # type: ignore[arg-type]
        self._await_head()

    def data_received(self, data: bytes) -> None:
        """Read what has come; what leaves no request in work is a part of a head, or dropped."""
        self._heads = 0
        super().data_received(data)
        if self._awaits_head:
            self._await_head()
        elif self._until_head is not None:
            self._forget_head()
        if self._head_bytes is not None and self._heads <= 1:  # else it had but a part of it
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES:
                self.transport.close()

    def on_message_begin(self) -> None:
        """Begin to count what a head takes."""
        super().on_message_begin()
        self._head_bytes = 0
        self._heads += 1

    def on_headers_complete(self) -> None:
        """Begin to answer, as what follows is a body."""
        self._head_bytes = None
        super().on_headers_complete()

    @property
    def _awaits_head(self) -> bool:
        """Whether nothing is in work, so that what has come is part of a head or dropped."""
        return self.cycle is None or self.cycle.response_complete

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of a connection."""
        self._forget_head()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """Send the answer, which is whole."""
        self.transport.flush()
        super().on_response_complete()

    def _await_head(self) -> None:
        if self._until_head is None:
            self._until_head = self.loop.call_later(self._head_timeout_s, self._end_late)

    def _forget_head(self) -> None:
        if self._until_head is not None:
            self._until_head.cancel()
            self._until_head = None

    def _end_late(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()
