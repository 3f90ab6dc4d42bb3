"""Requests at a steady rate, timed from when they were due, so that a stall counts in full.

`python -m benchmarks.steady_load PORT SECONDS KEPT FRESH RATE` sends RATE requests a second on
each of KEPT kept connections and from each of FRESH clients that connect anew each time. It prints
one JSON list of [due, latency_s, kept, ok]; nothing is retried.
"""

import asyncio
import json
import ssl
import sys
import time
from typing import Any, NamedTuple

REQUEST = b"GET /recall HTTP/1.1\r\nhost: x\r\n%s\r\n"
Row = tuple[float, float, bool, bool]


class Answer(NamedTuple):
    """An answer: its status, its head in lower case, its body; status 0 where no whole one came."""

    status: int
    head: bytes
    body: bytes


NO_ANSWER = Answer(0, b"", b"")


class Client:
    """One client, which opens a connection when it has none; over TLS if told whom to trust."""

    def __init__(self, port: int, keep: bool, trust: ssl.SSLContext | None = None) -> None:
        self.port = port
        self.keep = keep
        self._tls: dict[str, Any] = {"ssl": trust, "server_hostname": "localhost"} if trust else {}
        self.request = REQUEST % (b"" if keep else b"connection: close\r\n")
        self.line: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self) -> bool:
        """Send its request; says whether it was answered with 200."""
        return (await self.exchange(self.request)).status == 200

    async def exchange(self, request: bytes) -> Answer:
        """Send a request and return its answer."""
        try:
            self.line = self.line or await asyncio.open_connection(
                "127.0.0.1", self.port, **self._tls
            )
            reader, writer = self.line
            writer.write(request)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = head.partition(b"content-length:")[2].partition(b"\r\n")[0]
            body = await reader.readexactly(int(length or b"0"))
            status = int(head.split(b" ", 2)[1])
        except (OSError, EOFError, ValueError, IndexError):
            self.close()
            return NO_ANSWER
        if not self.keep or b"connection: close" in head:
            self.close()
        return Answer(status, head, body)

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self.line is not None:
            self.line[1].close()
        self.line = None


async def run_client(client: Client, due: float, end: float, period_s: float) -> list[Row]:
    """Ask once a period, at once if late."""
    rows: list[Row] = []
    while due < end:
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        ok = await client.ask()
        rows.append((due, time.monotonic() - due, client.keep, ok))
        due += period_s
    client.close()
    return rows


async def run(port: int, seconds: float, kept: int, fresh: int, rate: float) -> list[Row]:
    """Run all clients, spread evenly over the period."""
    start = time.monotonic() + 0.1
    period_s = 1 / rate
    clients = [Client(port, number < kept) for number in range(kept + fresh)]
    rows = await asyncio.gather(
        *(
            run_client(client, start + period_s * n / len(clients), start + seconds, period_s)
            for n, client in enumerate(clients)
        )
    )
    return sorted(row for part in rows for row in part)


if __name__ == "__main__":
    port, seconds, kept, fresh, rate = sys.argv[1:]
    rows = asyncio.run(run(int(port), float(seconds), int(kept), int(fresh), float(rate)))
    json.dump(rows, sys.stdout)
