"""uvicorn's protocol, with an answer's head and body sent by one call of the system."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


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
    """HTTP as uvicorn speaks it with httptools."""

    transport: OneWrite  # type: ignore[assignment]  # with all that uvicorn asks of a transport

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection over."""
        super().connection_made(OneWrite(transport, self.loop))  # type: ignore[arg-type]

    def on_response_complete(self) -> None:
        """Send the answer, which is whole."""
        self.transport.flush()
        super().on_response_complete()
