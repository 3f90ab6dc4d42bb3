"""The bare parts of a recall, each alone: a route that has its bytes, a read, a run, a search.

`python -m benchmarks.recall_http.parts SECONDS` prints the CPU of one read, run and search as
JSON, in microseconds; `create_app` is the route, to be asked as a service is.
"""

import asyncio
import json
import sys
import time
from collections.abc import Callable
from itertools import cycle
from typing import Any

import numpy as np
import uvloop
from fastapi import FastAPI, Response
from redis.asyncio import Redis

from benchmarks.recall_http.given import Given
from benchmarks.recall_http.load import K
from export.contract.session import open_session

AT_ONCE = (1, 8, 32)
BLOCK = 50  # done between two looks at the clock


def create_app() -> FastAPI:
    """Return an application whose route gives ready bytes, as many as the service's answer has."""
    body = b"x" * Given.of_environment().answer_bytes
    app = FastAPI()

    @app.get("/recall")
    async def recall() -> Response:
        return Response(body, media_type="application/json")

    return app


async def read_us(given: Given, at_once: int, seconds: float) -> float:
    """Return the CPU of one GET by redis.asyncio, so many at once."""
    redis = Redis.from_url(given.redis)
    await redis.ping()
    end_s = time.perf_counter() + seconds

    async def read(first: int) -> int:
        done = first
        while time.perf_counter() < end_s:
            if await redis.get(f"{given.key}u{done % given.users}") is None:
                raise LookupError(f"user u{done % given.users} is not stored")
            done += 1
        return done - first

    begun_s = time.process_time()
    done = await asyncio.gather(*(read(n * given.users // at_once) for n in range(at_once)))
    cpu_s = time.process_time() - begun_s
    await redis.aclose()
    return 1e6 * cpu_s / sum(done)


def cpu_us(work: Callable[[], object], seconds: float) -> float:
    """Return the CPU of a piece of work that is done over and over."""
    end_s, begun_s, done = time.perf_counter() + seconds, time.process_time(), 0
    while done == 0 or time.perf_counter() < end_s:
        for _ in range(BLOCK):
            work()
        done += BLOCK
    return 1e6 * (time.process_time() - begun_s) / done


async def _stored(given: Given) -> list[dict[str, Any]]:
    redis = Redis.from_url(given.redis)
    stored = await redis.mget([f"{given.key}u{n}" for n in range(given.users)])
    await redis.aclose()
    return [json.loads(one or "null") for one in stored]


def measure(given: Given, seconds: float) -> dict[str, float]:
    """Return the CPU (us) of one read (by how many at once), run of the tower, and search."""
    found = {f"read c={c}": uvloop.run(read_us(given, c, seconds)) for c in AT_ONCE}
    tower, index = open_session(given.tower), given.open_index()
    packed = [given.pack(one) for one in uvloop.run(_stored(given))]
    vectors = np.concatenate([tower.run(["vector"], one)[0] for one in packed])
    users, queries = cycle(packed), cycle(vectors[n : n + 1] for n in range(len(vectors)))
    found["tower"] = cpu_us(lambda: tower.run(["vector"], next(users)), seconds)
    found["search"] = cpu_us(lambda: index.knn_query(next(queries), k=K, num_threads=1), seconds)
    return found


if __name__ == "__main__":
    sys.stdout.write(json.dumps(measure(Given.of_environment(), float(sys.argv[1]))))
