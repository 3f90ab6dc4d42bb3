"""Refuses, at the start, a Redis that must not hold the catalogue, or cannot."""

import logging
from typing import Any

import redis

from export.contract.errors import ConfigError
from service.redis.client import client_at, find_one, find_slots, talking
from service.redis.rights import missing_rights
from service.redis.url import Address, RedisUrl, missing_file, name_of, read_url

logger = logging.getLogger(__name__)


class RedisRefused(ConfigError):
    """A Redis that must not hold the catalogue; the message is the one line that says why."""


def refuse_unfit(
    text: str, prefix: str = "fs", timeout_s: float = 2.0, write_ack: str = "local"
) -> None:
    """Raise RedisRefused if the Redis of a URL cannot do what the service needs.

    - Its policy must not evict. Any other than `noeviction` is refused, with or without a memory
      limit of today, for a limit can be set while it runs.
    - The URL must say whether it is a cluster or a Sentinel.
    - Its user must be let in, with the rights that the service needs; `write_ack`, what writes wait
      for, may take one more.

    A server that cannot be reached, or that hides what it is, is not judged: serving starts
    without it and the log says so.
    """
    try:
        url = read_url(text)
    except ValueError as error:
        raise RedisRefused(f"redis URL: {error}") from error
    if missing := missing_file(url):
        raise RedisRefused(f"redis URL: {missing}")
    try:
        for address in _servers(url, timeout_s):
            _look(url, address, timeout_s)
        with talking(url, f"{{{prefix}}}:items", timeout_s) as client:
            lacking = missing_rights(client, prefix, kind=url.kind, write_ack=write_ack)
    except (redis.AuthenticationError, redis.exceptions.NoPermissionError) as error:
        raise RedisRefused(f"redis at {url} does not let us in: {error}") from error
    except (redis.RedisError, OSError) as error:
        logger.warning("redis not checked", extra={"reason": str(error)})
        return
    if lacking:
        raise RedisRefused(
            f"redis at {url}: user {url.options.get('username', 'default')!r} lacks rights; allow "
            f"`{' '.join(lacking)}` (docs/settings.md has the whole rule)"
        )


def _servers(url: RedisUrl, timeout_s: float) -> list[Address | None]:
    """Return all that hold data: of a cluster every primary."""
    try:
        if url.kind == "cluster":
            return list(find_slots(url, timeout_s).nodes)
        return [find_one(url, timeout_s)]
    except redis.exceptions.NoPermissionError as error:
        if url.kind == "cluster":
            raise RedisRefused(f"redis at {url}: allow `+cluster|slots`: {error}") from error
        raise RedisRefused(f"sentinels at {url}: {error}") from error
    except redis.ResponseError as error:
        right = "redis:// or, with TLS, rediss://"
        raise RedisRefused(f"redis at {url} is no {url.kind}: give {right} ({error})") from error


def _look(url: RedisUrl, address: Address | None, timeout_s: float) -> None:
    """Judge one server by what it tells of itself."""
    where = url.path if address is None else name_of(address)
    try:
        with client_at(url, address, timeout_s) as client:
            info: dict[str, Any] = client.info()
    except (redis.AuthenticationError, redis.exceptions.NoPermissionError):
        return  # which is told of the catalogue's server
    except (redis.RedisError, OSError) as error:
        logger.warning("redis not checked", extra={"server": where, "reason": str(error)})
        return
    if url.kind == "one":
        _refuse_kind(url, str(where), info)
    policy = info.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        raise RedisRefused(
            f"redis at {where} evicts keys when memory is full (maxmemory-policy {policy}); "
            "set `maxmemory-policy noeviction` there"
        )


def _refuse_kind(url: RedisUrl, where: str, info: dict[str, Any]) -> None:
    scheme = "rediss" if url.is_tls else "redis"
    right = "HOST:PORT" if url.path else where
    if info.get("cluster_enabled") == 1:
        kind, form = "node of a cluster", f"{scheme}+cluster://{right}"
    elif info.get("redis_mode", info.get("server_mode")) == "sentinel":
        kind, form = "Sentinel", f"{scheme}+sentinel://{right}/SERVICE"
    else:
        return
    raise RedisRefused(f"redis at {where} is a {kind}: give {form}")
