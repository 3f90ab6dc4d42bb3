"""A TCP proxy before a real server, which can pass, delay, hang, cut mid-reply and duplicate."""

import asyncio
import contextlib
import threading
from collections.abc import Coroutine
from typing import Any, Literal, Self

Fault = Literal["pass", "delay", "hang", "cut", "duplicate"]


class Proxy:
    """Listens on a port of the loopback, in a thread of its own; `fault` may change at any time.

    pass: as it comes. delay: each reply `delay_s` late. hang: nothing comes through, connections
    stay. cut: half of each reply, then the connection ends. duplicate: each reply comes twice.
    """

    def __init__(self, target: tuple[str, int], delay_s: float = 0.3) -> None:
        self.fault: Fault = "pass"
        self.delay_s = delay_s
        self.commands = 0
        """Pieces of requests seen; a command in flight alone is one."""
        self.words: dict[bytes, int] = {b"MGET": 0, b"EVALSHA": 0, b"PING": 0}
        """How often each was seen in what clients sent."""
        self.target = target
        """Where new connections lead; those that are there stay where they are."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self.port = self._do(self._listen())
        return self

    def __exit__(self, *error: object) -> None:
        self._do(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def url(self) -> str:
        """The URL of the Redis behind it."""
        return f"redis://127.0.0.1:{self.port}"

    def _do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _listen(self) -> int:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def _close(self) -> None:
        self._server.close()
        others = [one for one in asyncio.all_tasks() if one is not asyncio.current_task()]
        for one in others:
            one.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection(*self.target)
        except OSError:
            writer.close()
            return
        ways = [
            asyncio.ensure_future(self._requests(reader, far_writer)),
            asyncio.ensure_future(self._replies(far_reader, writer)),
        ]
        try:
            with contextlib.suppress(asyncio.CancelledError):  # of `_close`; asyncio would print it
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            writer.close()
            far_writer.close()

    async def _requests(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            self.commands += 1
            for word in self.words:
                self.words[word] += data.count(b"\r\n" + word + b"\r\n")
            await self._while_it_hangs()
            writer.write(data)
            await writer.drain()

    async def _replies(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            await self._while_it_hangs()
            if self.fault == "delay":
                await asyncio.sleep(self.delay_s)
            if self.fault == "cut":
                writer.write(data[: len(data) // 2])
                await writer.drain()
                return
            writer.write(data * 2 if self.fault == "duplicate" else data)
            await writer.drain()

    async def _while_it_hangs(self) -> None:
        while self.fault == "hang":
            await asyncio.sleep(0.01)
