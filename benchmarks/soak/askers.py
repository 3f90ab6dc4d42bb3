"""Clients that ask one worker for batches of recalls, in a process that shares nothing with it.

`python -m benchmarks.soak.askers PLAN` takes a JSON plan and prints what was answered as JSON.
"""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
from collections import Counter
from typing import Self

import numpy as np
import uvloop
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt

from benchmarks.cpu import cpu_s
from benchmarks.soak.catalogue import DIM, FEATURE
from benchmarks.steady_load import Client
from export.contract.strict import Strict

BATCH, K = 64, 100
REFUSED = 503
CONNECTS = b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n"
SLACK_S = 60.0


class Plan(Strict):
    """Who asks, and how often.

    worker: the process whose CPU is read, by its id.
    rate: batches a second of all clients together; 0: each asks again as soon as it is answered.
    """

    port: int
    worker: int
    clients: PositiveInt
    rate: NonNegativeFloat = 0.0
    seconds: PositiveFloat
    seed: int = 1


class Asked(Strict):
    """What came of it.

    statuses: how often each was answered; 0: no whole answer came.
    refused_s: how long each refusal took, as the client saw it.
    refused_cpu_s: what the worker did between the request and its refusal, itself and for others.
    cpu_s: what the worker took in all; other work on the machine adds nothing to it.
    """

    statuses: dict[int, int]
    refused_s: list[float]
    refused_cpu_s: list[float]
    cpu_s: float

    @property
    def answered(self) -> int:
        """How many batches were answered."""
        return self.statuses.get(200, 0)


class Askers:
    """The clients of a plan; while the block runs they ask."""

    def __init__(self, plan: Plan) -> None:
        words = [sys.executable, "-m", "benchmarks.soak.askers", plan.model_dump_json()]
        self._plan = plan
        self._process = subprocess.Popen(words, stdout=subprocess.PIPE)

    def __enter__(self) -> Self:
        return self

    def wait(self) -> Asked:
        """Return what came of it, once the plan's seconds are over."""
        told, _ = self._process.communicate(timeout=self._plan.seconds + SLACK_S)
        return Asked.model_validate_json(told)

    def __exit__(self, *error: object) -> None:
        self._process.kill()
        self._process.communicate()


def batch_request(seed: int) -> bytes:
    """Return the bytes of a request for a batch of recalls, of users who are somewhere."""
    places = np.random.default_rng(seed).standard_normal((BATCH, DIM)).round(4)
    users = [{"user": {FEATURE: place.tolist()}, "k": K} for place in places]
    body = json.dumps({"requests": users}).encode()
    head = "POST /recall/batch HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


async def ask(plan: Plan) -> Asked:
    """Ask for the plan's seconds, spread evenly over the period, on connections that are there."""
    statuses, refused_s, refused_cpu_s = Counter[int](), list[float](), list[float]()
    request, period_s = batch_request(plan.seed), plan.clients / plan.rate if plan.rate else 0.0
    clients = [Client(plan.port, keep=True) for _ in range(plan.clients)]
    await asyncio.gather(*(one.exchange(CONNECTS) for one in clients))
    start_s = time.monotonic()

    async def run(client: Client, number: int) -> None:
        due_s = start_s + period_s * number / plan.clients
        while True:
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))
            sent_s, sent_cpu_s = time.monotonic(), cpu_s(plan.worker)
            status = (await client.exchange(request)).status
            statuses[status] += 1
            if status == REFUSED:
                refused_s.append(time.monotonic() - sent_s)
                refused_cpu_s.append(cpu_s(plan.worker) - sent_cpu_s)
            due_s = max(due_s + period_s, time.monotonic() - period_s)

    begun_s = cpu_s(plan.worker)
    tasks = [asyncio.create_task(run(one, number)) for number, one in enumerate(clients)]
    done, _ = await asyncio.wait(tasks, timeout=plan.seconds)
    told = Asked(
        statuses=dict(statuses),
        refused_s=refused_s,
        refused_cpu_s=refused_cpu_s,
        cpu_s=cpu_s(plan.worker) - begun_s,
    )
    for task in done:
        task.result()  # only a fault ends a client
    for task in tasks:
        task.cancel()
    return told


if __name__ == "__main__":
    with contextlib.suppress(
        PermissionError
    ):  # who is woken late takes its own delay for another's
        os.nice(-10)
    asked = uvloop.run(ask(Plan.model_validate_json(sys.argv[1])))
    sys.stdout.write(asked.model_dump_json())
