"""Posts items to one replica, one at a time, and asks another until it recalls them.

`python -m benchmarks.freshness.probe PLAN` takes a JSON plan and prints what each took as JSON.
"""

import json
import select
import sys
import time
from pathlib import Path

from pydantic import PositiveFloat

from benchmarks.recall_http.load import SLACK_S, Failed, Line, post_of, recall_of
from export.contract.strict import Strict


class Plan(Strict):
    """Where items are posted and asked for.

    probes: a JSON list of [user, item]; the item is to be recalled for the user.
    pause_s: between two probes.
    """

    post_port: int
    recall_port: int
    probes: Path
    pause_s: PositiveFloat = 0.005


class Took(Strict):
    """Milliseconds from when an item was sent: until it was acknowledged, and recalled."""

    posted_ms: list[float] = []
    recalled_ms: list[float] = []


def run(plan: Plan) -> Took:
    """Post and ask.

    Raises:
        Failed: Something was answered otherwise than with 200, or not recalled in time.

    """
    took = Took()
    post, ask = Line(plan.post_port), Line(plan.recall_port)
    for user, item in json.loads(plan.probes.read_bytes()):
        posted_s, recalled_s = _one(post, ask, user, item)
        took.posted_ms.append(1000 * posted_s)
        took.recalled_ms.append(1000 * recalled_s)
        time.sleep(plan.pause_s)
    for line in (post, ask):
        line.socket.close()
    return took


def _one(post: Line, ask: Line, user: int, item: dict[str, object]) -> tuple[float, float]:
    """Return the seconds until an item was acknowledged, and until it was recalled."""
    named, request = f'"{item["id"]}"'.encode(), recall_of(user)
    body, begun_s = post_of(json.dumps(item).encode()), time.perf_counter()
    post.send(body, begun_s)
    ask.send(request, begun_s)
    took_s: dict[Line, float] = {}
    while len(took_s) < 2:
        left_s = begun_s + SLACK_S - time.perf_counter()
        awaited = [line for line in (post, ask) if line not in took_s]
        ready, _, _ = select.select(awaited, [], [], max(0.0, left_s))
        if left_s <= 0 or not ready:
            raise Failed(f"item {item['id']!r} is not recalled within {SLACK_S:g} s")
        for line in ready:
            if not line.read():
                continue
            if line is post or named in line.answer:
                took_s[line] = time.perf_counter() - begun_s
            else:
                ask.send(request, begun_s)
    return took_s[post], took_s[ask]


if __name__ == "__main__":
    sys.stdout.write(run(Plan.model_validate_json(sys.argv[1])).model_dump_json())
