"""Requests at a steady rate, timed from when they were due, so that a stall counts in full.

`python -m benchmarks.steady_load PORT SECONDS KEPT FRESH RATE` sends RATE requests a second on
each of KEPT kept connections and from each of FRESH clients that connect anew each time. It prints
one JSON list of [due, latency_s, kept, ok]; nothing is retried.
"""

import asyncio
import json
import sys
import time

REQUEST = b"GET /recall HTTP/1.1\r\nhost: x\r\n%s\r\n"
Row = tuple[float, float, bool, bool]


class Client:
    """One client, which opens a connection when it has none."""

    def __init__(self, port: int, keep: bool) -> None:
        self.port = port
        self.keep = keep
        self.request = REQUEST % (b"" if keep else b"connection: close\r\n")
        self.line: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self) -> bool:
        """Send one request; says whether it was answered with 200."""
        try:
            self.line = self.line or await asyncio.open_connection("127.0.0.1", self.port)
            reader, writer = self.line
            writer.write(self.request)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
            await reader.readexactly(length)
        except (OSError, EOFError, ValueError):
            self.close()
            return False
        if not self.keep or b"connection: close" in head:
            self.close()
        return b" 200 " in head.partition(b"\r\n")[0]

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
