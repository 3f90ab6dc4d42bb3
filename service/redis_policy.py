"""Refuses a Redis that would throw items away when its memory is full."""

import logging
from typing import Any
from urllib.parse import urlsplit

import redis

logger = logging.getLogger(__name__)


class RedisRefused(Exception):
    """A Redis that must not hold the catalogue; the message is the one line that says why."""


def refuse_evicting(url: str, timeout_s: float = 2.0) -> None:
    """Raise RedisRefused if the Redis at `url` has a policy that evicts.

    Any other policy than `noeviction` is refused, with or without a memory limit of today, for a
    limit can be set while it runs. One that cannot be reached, or that hides its policy, is
    not judged: serving starts without it and the log says so.
    """
    try:
        with redis.Redis.from_url(
            url, socket_timeout=timeout_s, socket_connect_timeout=timeout_s
        ) as client:
            memory: dict[str, Any] = client.info("memory")
    except redis.RedisError as error:
        logger.warning("redis not checked", extra={"reason": str(error)})
        return
    except ValueError as error:
        raise RedisRefused(f"redis URL: {error}") from error
    policy = memory.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        parts = urlsplit(url)  # without the password
        where = f"{parts.hostname}:{parts.port or 6379}" if parts.hostname else parts.path
        raise RedisRefused(
            f"redis at {where} evicts keys when memory is full (maxmemory-policy {policy}); "
            "set `maxmemory-policy noeviction` there"
        )
