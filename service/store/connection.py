"""Connections to Redis: bounded in time, never retried, failing in one way."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError

from service.store.base import StoreUnavailable

Call = Sequence[bytes | str | int]


def connect(url: str, timeout_s: float, connections: int) -> Redis:
    """Return a client that opens its connections when they are needed, at most so many.

    Nothing is tried twice: redis-py's defaults hold a command for up to a minute while Redis hangs.
    """
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=connections,
        timeout=timeout_s,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        retry=Retry(NoBackoff(), 0),
        protocol=2,
    )
    return Redis.from_pool(pool)  # which `aclose` closes too


@contextmanager
def answering() -> Iterator[None]:
    """Turn whatever goes wrong with Redis into StoreUnavailable."""
    try:
        yield
    except (RedisError, OSError) as error:
        raise StoreUnavailable(f"{type(error).__name__}: {error}") from error


async def run_script(client: Redis, script: bytes, keys: int, calls: Sequence[Call]) -> list[Any]:
    """Call a script once for each of the calls, in one round trip; return answers and errors."""
    sha = hashlib.sha1(script, usedforsecurity=False).hexdigest()
    async with client.pipeline(transaction=False) as pipeline:
        for call in calls:
            pipeline.execute_command("EVALSHA", sha, keys, *call)
        answers: list[Any] = await pipeline.execute(raise_on_error=False)
    if any(isinstance(answer, NoScriptError) for answer in answers):
        # A new Redis: none of the calls that it does not know the script for has run.
        await client.script_load(script)
        again = [n for n, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
        rest = await run_script(client, script, keys, [calls[n] for n in again])
        for n, answer in zip(again, rest, strict=True):
            answers[n] = answer
    return answers
