"""Mixed traffic through a gateway: first as fast as it answers, then at a share of that.

`python -m benchmarks.gateway.traffic PLAN.json NOTES.jsonl` prints `Begun` as JSON when the steady
part begins, and goes on until its standard input ends. Arrivals of that part are drawn beforehand,
whatever comes back and when. What is due goes out on a connection that is kept and free; while none
is it waits, as in the pool of any client, and its time runs. Times are those of the machine's
monotonic clock, in seconds.
"""

import asyncio
import contextlib
import json
import random
import ssl
import sys
import time
from pathlib import Path
from typing import TextIO

import uvloop
from pydantic import PositiveFloat, PositiveInt

from benchmarks.gateway.calls import Call, Calls, World, is_good
from benchmarks.steady_load import NO_ANSWER, Client
from export.contract.strict import Strict

TIMEOUT_S = 10.0
"""After which a request that was due counts as failed, sent or not."""
IDLE_S = 10.0
"""After which a kept connection is not used again; the gateway closes it after 30."""


class Plan(World):
    """Where to ask, what for, and how often.

    authority: the file of who signed the gateway's certificate.
    connections: that are kept, and taken in turn.
    clients: who ask in turn while the capacity is measured, for measured_s.
    share: of the capacity, that is asked for then.
    """

    port: int
    authority: Path
    connections: PositiveInt
    clients: PositiveInt
    measured_s: PositiveFloat
    share: PositiveFloat


class Begun(Strict):
    """What was measured, what is asked for from `at` on (requests a second)."""

    capacity: float
    rate: float
    at: float


class Traffic:
    """All that is asked for by one plan."""

    def __init__(self, plan: Plan, notes: TextIO) -> None:
        self._plan = plan
        self._notes = notes
        self._calls = Calls(plan)
        trust = ssl.create_default_context(cafile=plan.authority)
        self._free: asyncio.Queue[tuple[float, Client]] = asyncio.Queue()
        for _ in range(plan.connections):
            self._free.put_nowait((0.0, Client(plan.port, keep=True, trust=trust)))

    async def measure(self) -> float:
        """Ask as fast as answers come; return how many requests a second were answered with 2xx."""
        plan, answered = self._plan, 0
        end = time.monotonic() + plan.measured_s

        async def keep_asking() -> None:
            nonlocal answered
            while (now := time.monotonic()) < end:
                was_answered = await self._ask(self._calls.draw(), now)
                answered += was_answered  # read after the wait: others count meanwhile

        await asyncio.gather(*(keep_asking() for _ in range(plan.clients)))
        return answered / plan.measured_s

    async def run(self, rate: float, start: float, is_over: asyncio.Event) -> None:
        """Ask at random moments, `rate` times a second on average, until it is over."""
        arrivals = random.Random(f"{self._plan.seed} arrivals")
        due = start
        async with asyncio.TaskGroup() as asked:
            while not is_over.is_set():
                due += arrivals.expovariate(rate)
                if (early_s := due - time.monotonic()) > 0:
                    await asyncio.sleep(early_s)
                asked.create_task(self._ask(self._calls.draw(), due))
        while not self._free.empty():
            self._free.get_nowait()[1].close()

    async def _ask(self, call: Call, due: float) -> bool:
        """Send one request, note it, and say whether it was answered with 2xx."""
        since, client = await self._free.get()
        if (sent := time.monotonic()) - since > IDLE_S:
            client.close()
        answer, is_late = NO_ANSWER, True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(due + TIMEOUT_S - sent):
                answer, is_late = await client.exchange(call.sent), False
        came = time.monotonic()
        if is_late:
            client.close()
        self._free.put_nowait((came, client))
        noted = call.facts | {"method": call.method, "status": answer.status}
        noted |= {"due": due, "sent": sent, "came": came, "took": came - due}
        if not is_good(answer):
            noted |= {"is_late": is_late, "body": answer.body.decode(errors="replace")}
        self._notes.write(json.dumps(noted | call.told(answer)) + "\n")
        return is_good(answer)


async def _until_told(plan: Plan, notes: TextIO) -> None:
    over = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), over.set)
    traffic = Traffic(plan, notes)
    capacity = await traffic.measure()
    begun = Begun(capacity=capacity, rate=plan.share * capacity, at=time.monotonic())
    sys.stdout.write(begun.model_dump_json() + "\n")
    sys.stdout.flush()
    await traffic.run(begun.rate, begun.at, over)


if __name__ == "__main__":
    plan = Plan.model_validate_json(Path(sys.argv[1]).read_bytes())
    with Path(sys.argv[2]).open("w", encoding="utf-8") as notes:
        uvloop.run(_until_told(plan, notes))
