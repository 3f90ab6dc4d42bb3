"""Recalls and writes at a steady rate, each noted with all that is needed to judge it later.

`python -m benchmarks.rollout.traffic PLAN.json NOTES.jsonl` runs until its standard input ends, or
for the `seconds` of the plan. Times are those of the machine's monotonic clock, in seconds.
"""

import asyncio
import json
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

import uvloop
from pydantic import NonNegativeInt, PositiveInt

from benchmarks.rollout.bundles import item_id, user_id
from benchmarks.rollout.records import record
from benchmarks.steady_load import Client
from export.contract.strict import Strict

AFTER, NEW, AGAIN = 0.1, 0.5, 0.75
"""The share of recalls that name a write as `after`; of writes, the share that posts a new item,
and that share with the ones that post an item again. The rest deletes."""


class Plan(Strict):
    """What is asked of the service, and how often.

    rate, writes: recalls and writes a second; a rate of 0 asks as fast as answers come.
    every: of so many recalls one is noted whole.
    seconds: how long; None: until told to end.
    """

    port: int
    users: PositiveInt
    items: PositiveInt
    clusters: PositiveInt
    rate: float
    writes: float
    k: PositiveInt = 100
    every: PositiveInt = 10
    readers: PositiveInt = 8
    fresh: NonNegativeInt = 2
    writers: PositiveInt = 2
    seconds: float | None = None
    seed: int = 1


def request(method: str, path: str, *, keep: bool, body: object = None) -> bytes:
    """Return the bytes of a request."""
    content = b"" if body is None else json.dumps(body).encode()
    head = f"{method} {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(content)}\r\n"
    head += "" if body is None else "content-type: application/json\r\n"
    head += "" if keep else "connection: close\r\n"
    return head.encode() + b"\r\n" + content


class Traffic:
    """All clients of one plan. What one writes no other one does, so its editions have an order."""

    def __init__(self, plan: Plan, notes: TextIO, is_over: Callable[[], bool]) -> None:
        self.plan = plan
        self.notes = notes
        self.is_over = is_over
        self.last: str | None = None  # the log id of the last write that was acknowledged

    async def run(self) -> None:
        """Ask until it is over."""
        plan = self.plan
        readers, writers = plan.readers + plan.fresh, plan.writers if plan.writes else 0
        start = time.monotonic() + 0.1
        tasks = [
            self._keep_asking(Reader(self, n), start, n / readers, plan.rate / readers)
            for n in range(readers)
        ]
        tasks += [
            self._keep_asking(Writer(self, n), start, n / writers, plan.writes / writers)
            for n in range(writers)
        ]
        await asyncio.gather(*tasks)

    async def _keep_asking(
        self, one: "Reader | Writer", start: float, offset: float, rate: float
    ) -> None:
        """Ask at a rate, counted from when a request was due; at once if late."""
        period_s = 1 / rate if rate else 0.0
        due = start + offset * period_s
        while not self.is_over():
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            sent = time.monotonic()
            noted = await one.ask()
            took = time.monotonic() - (due if rate else sent)
            self.notes.write(json.dumps(noted | {"due": due if rate else sent, "took": took}))
            self.notes.write("\n")
            due += period_s
        one.client.close()

    def acknowledged(self, log_id: str) -> None:
        """Take note of a write that a recall may name."""
        if self.last is None or place(log_id) > place(self.last):
            self.last = log_id


def place(log_id: str) -> tuple[int, ...]:
    """Return a log id as what it is ordered by."""
    return tuple(int(part) for part in log_id.split("-"))


class Reader:
    """Asks for recalls of stored users."""

    def __init__(self, traffic: Traffic, number: int) -> None:
        self.traffic, plan = traffic, traffic.plan
        self.client = Client(plan.port, number < plan.readers)
        self.random = random.Random(f"{plan.seed} reader {number}")
        self.asked = number

    async def ask(self) -> dict[str, Any]:
        """Send one recall and return what is noted of it."""
        plan, self.asked = self.traffic.plan, self.asked + 1
        user = user_id(self.random.randrange(plan.users))
        path = f"/recall?user_id={user}&k={plan.k}"
        after = self.traffic.last if self.random.random() < AFTER else None
        path += "" if after is None else f"&after={after}"
        sent = time.monotonic()
        call = request("GET", path, keep=self.client.keep)
        status, _, body = await self.client.exchange(call)
        noted: dict[str, Any] = {"is": "recall", "status": status}
        if status != 200:
            return noted | {"body": body.decode(errors="replace"), "sent": sent}
        noted["version"] = body.partition(b'"version":"')[2].partition(b'"')[0].decode()
        if b'"degraded":[]' not in body or self.asked % plan.every == 0:
            now = time.monotonic()
            noted |= {"user": user, "sent": sent, "came": now, "after": after}
            noted["answer"] = json.loads(body)
        return noted


class Writer:
    """Posts new items, posts them and the catalogue's again, and removes both."""

    def __init__(self, traffic: Traffic, number: int) -> None:
        self.traffic, self.number, plan = traffic, number, traffic.plan
        self.client = Client(plan.port, keep=True)
        self.random = random.Random(f"{plan.seed} writer {number}")
        self.editions: dict[str, int] = {}
        self.posted: list[str] = []

    async def ask(self) -> dict[str, Any]:
        """Send one write and return what is noted of it."""
        drawn = self.random.random()
        one = self._new() if drawn < NEW else self._known()
        if drawn >= AGAIN:
            call, edition = request("DELETE", f"/items/{one}", keep=True), None
        else:
            edition = self.editions[one] = self.editions.get(one, 0) + 1
            told = {"id": one} | record(one, edition, self.traffic.plan.clusters)
            call = request("POST", "/items?vector=false", keep=True, body=told)
        sent = time.monotonic()
        status, head, body = await self.client.exchange(call)
        noted: dict[str, Any] = {"is": "write", "id": one, "edition": edition}
        noted |= {"sent": sent, "status": status}
        noted |= {"came": time.monotonic(), "log_id": None}
        if status in (200, 201):
            answer = json.loads(body)
            noted |= {name: answer[name] for name in ("log_id", "searchable", "durable")}
        elif status == 204:
            log_id = head.partition(b"x-log-id:")[2].partition(b"\r\n")[0].strip()
            noted["log_id"] = log_id.decode()
        else:
            noted["body"] = body.decode(errors="replace")
        if noted["log_id"] is not None:
            self.traffic.acknowledged(noted["log_id"])
        return noted

    def _new(self) -> str:
        one = f"new-{self.number}-{len(self.posted)}"
        self.posted.append(one)
        return one

    def _known(self) -> str:
        """Draw an item that this writer posted, or one of its share of the catalogue."""
        if self.posted and self.random.random() < 0.5:
            return self.random.choice(self.posted)
        writers = self.traffic.plan.writers
        share = (self.traffic.plan.items - self.number + writers - 1) // writers
        return item_id(self.number + writers * self.random.randrange(share))


async def _until_told(plan: Plan, notes: TextIO) -> None:
    over = asyncio.Event()
    loop = asyncio.get_running_loop()
    if plan.seconds is None:
        loop.add_reader(sys.stdin.fileno(), over.set)
    else:
        loop.call_later(plan.seconds, over.set)
    await Traffic(plan, notes, over.is_set).run()


if __name__ == "__main__":
    plan = Plan.model_validate_json(Path(sys.argv[1]).read_bytes())
    with Path(sys.argv[2]).open("w", encoding="utf-8") as notes:
        uvloop.run(_until_told(plan, notes))
