"""A client for a short conversation with Redis in the caller's own thread, and with which node."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from service.redis.slots import Slots
from service.redis.url import Address, RedisUrl, name_of

T = TypeVar("T")


@contextmanager
def talking(url: RedisUrl, key: str, timeout_s: float) -> "Iterator[redis.Redis]":
    """Give a client of the server that holds a key; nothing is tried twice.

    Raises:
        redis.RedisError: It is not found, or does not answer.

    """
    address = (
        find_slots(url, timeout_s).of(key.encode())
        if url.kind == "cluster"
        else find_one(url, timeout_s)
    )
    with client_at(url, address, timeout_s) as client:
        yield client


def find_slots(url: RedisUrl, timeout_s: float) -> Slots:
    """Ask the nodes of a cluster in turn for the map of it.

    Raises:
        redis.RedisError: None of them tells.

    """

    def ask(client: "redis.Redis", asked: Address) -> Slots:
        reply: Any = client.execute_command("CLUSTER", "SLOTS")  # type: ignore[no-untyped-call]
        return Slots(reply, asked)

    return _ask(url, url.options, timeout_s, ask)


def find_one(url: RedisUrl, timeout_s: float) -> Address | None:
    """Return the address of a single server or of a primary; None for a unix socket.

    Raises:
        redis.RedisError: No Sentinel tells which it is.

    """
    if url.kind == "one":
        return url.hosts[0] if url.hosts else None

    def ask(client: "redis.Redis", asked: Address) -> Address:
        found: Any = client.execute_command(*primary_question(url))  # type: ignore[no-untyped-call]
        return primary_of(found, str(url.service))

    return _ask(url, url.asking, timeout_s, ask)


def primary_question(url: RedisUrl) -> list[str]:
    """Return the command that asks a Sentinel for the primary."""
    return ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", str(url.service)]


def primary_of(found: Any, service: str) -> Address:
    """Read what a Sentinel answered.

    Raises:
        redis.ConnectionError: It knows no such service.

    """
    if not found:
        raise redis.ConnectionError(f"it watches no service {service!r}")
    host, port = found
    return host.decode() if isinstance(host, bytes) else str(host), int(port)


def _ask(
    url: RedisUrl,
    options: dict[str, Any],
    timeout_s: float,
    question: "Callable[[redis.Redis, Address], T]",
) -> T:
    reasons = []
    for host in url.hosts:
        try:
            with client_at(url, host, timeout_s, options) as client:
                return question(client, host)
        except (redis.ResponseError, redis.AuthenticationError):
            raise  # an answer, and the others would give the same
        except (redis.RedisError, OSError) as error:
            reasons.append(f"{name_of(host)}: {error}")
    raise redis.ConnectionError("; ".join(reasons))


def client_at(
    url: RedisUrl,
    address: Address | None,
    timeout_s: float,
    options: dict[str, Any] | None = None,
) -> "redis.Redis":
    """Return a client of one server.

    options: what a connection takes, if not what is taken by one to a server that holds data.
    """
    place: dict[str, Any] = {"unix_socket_path": url.path}
    if address is not None:
        place = {"host": address[0], "port": address[1], "ssl": url.is_tls}
    return redis.Redis(
        **place,
        **(url.options if options is None else options),
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        retry=Retry(NoBackoff(), 0),
        protocol=2,
    )
