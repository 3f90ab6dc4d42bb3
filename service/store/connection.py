"""Connections to Redis: bounded in time, never retried, failing in one way."""

import hashlib
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from redis.asyncio import BlockingConnectionPool, Connection, Redis, SSLConnection
from redis.asyncio import UnixDomainSocketConnection as SocketConnection
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    ClusterDownError,
    MovedError,
    NoScriptError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)
from redis.exceptions import ConnectionError as RedisConnectionError

from service.redis.url import Address, RedisUrl
from service.store.base import StoreUnavailable
from service.store.guide import Guide, SentinelGuide

Call = Sequence[bytes | str | int]


class GuidedConnection(Connection):
    """A connection to whichever server holds the catalogue when it is made.

    It is made anew, when it is next used, once the guide was told of another server.
    """

    def __init__(self, *, guide: Guide, **options: Any) -> None:
        super().__init__(**options)
        self._guide = guide

    async def connect(self) -> None:
        """Connect, unless it is connected to the right server."""
        if self.is_connected and (self.host, self.port) != self._guide.now:
            await self.disconnect()
        await super().connect()  # type: ignore[no-untyped-call]

    async def _connect(self) -> None:
        self.host, self.port = await self._guide.find()
        try:
            await super()._connect()  # type: ignore[no-untyped-call]
        except BaseException:  # a cancelled one too: the server hangs
            self._guide.doubt()
            raise

    async def read_response(self, *args: Any, **options: Any) -> Any:
        """Read a reply, and take note if it says that another server is the one."""
        try:
            return await super().read_response(*args, **options)
        except ResponseError as error:
            # A script of Redis 6 tells READONLY in the middle of another error.
            is_left = isinstance(error, MovedError | ReadOnlyError | ClusterDownError)
            if is_left or "READONLY" in str(error):
                self._guide.left((self.host, self.port))
            raise


class GuidedTLSConnection(GuidedConnection, SSLConnection):
    """The same with TLS."""


def connect(
    url: RedisUrl,
    timeout_s: float,
    connections: int,
    on_connect: Callable[[], None] | None = None,
    guide: Guide | None = None,
) -> Redis:
    """Return a client that opens its connections when they are needed, at most so many.

    Nothing is tried twice: redis-py's defaults hold a command for up to a minute while Redis hangs.

    on_connect: called with each new connection, which may lead to another server than the last.
    guide: says where to, where `url` names only those who know.
    """

    async def greet(connection: AbstractConnection) -> None:
        await connection.on_connect()
        if isinstance(guide, SentinelGuide):
            try:
                await _refuse_replica(connection)
            except RedisConnectionError:
                guide.doubt()
                raise
        if on_connect is not None:
            on_connect()

    if guide is not None:
        kind: type[AbstractConnection] = GuidedTLSConnection if url.is_tls else GuidedConnection
        options = {**url.options, "guide": guide}
    elif url.path is not None:
        kind, options = SocketConnection, {**url.options, "path": url.path}
    else:
        host, port = url.hosts[0]
        kind = SSLConnection if url.is_tls else Connection
        options = {**url.options, "host": host, "port": port}
    return _client(kind, options, timeout_s, connections, greet)


def connect_at(
    url: RedisUrl, address: Address, timeout_s: float, connections: int, *, asking: bool = False
) -> Redis:
    """Return a client of one node of a cluster, or of one Sentinel.

    asking: whether it is one of those who know, and not one that holds data.
    """
    host, port = address
    rights = url.asking if asking and url.kind == "sentinel" else url.options
    kind = SSLConnection if url.is_tls else Connection
    return _client(kind, {**rights, "host": host, "port": port}, timeout_s, connections, None)


def _client(
    kind: type[AbstractConnection],
    options: dict[str, Any],
    timeout_s: float,
    connections: int,
    greet: Callable[[AbstractConnection], Awaitable[None]] | None,
) -> Redis:
    pool = BlockingConnectionPool(
        connection_class=kind,
        max_connections=connections,
        timeout=timeout_s,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        retry=Retry(NoBackoff(), 0),
        protocol=2,
        redis_connect_func=greet,
        **options,
    )
    return Redis.from_pool(pool)  # which `aclose` closes too


async def _refuse_replica(connection: AbstractConnection) -> None:
    """Make sure of what a Sentinel told, which may not have heard of a failover yet."""
    await connection.send_command("ROLE")
    role = (await connection.read_response())[0]
    if role not in (b"master", "master"):
        raise RedisConnectionError(f"it is no primary, as a Sentinel said, but a {role!r}")


@contextmanager
def answering() -> Iterator[None]:
    """Turn whatever goes wrong with Redis into StoreUnavailable."""
    try:
        yield
    except (RedisError, OSError) as error:
        raise unavailable(error) from error


def unavailable(error: Exception) -> StoreUnavailable:
    """Return what an error of Redis, or of the way to it, means to a caller."""
    return StoreUnavailable(f"{type(error).__name__}: {error}")


class Line(NamedTuple):
    """A way to the node of a cluster that has a key, for commands of that key alone.

    asks: whether ASKING goes in front of each, for its slot is just being moved there.
    """

    client: Redis
    asks: bool = False

    async def send(self, calls: Sequence[Call]) -> list[Any]:
        """Send commands in one round trip; return answers and errors, in order."""
        async with self.client.pipeline(transaction=False) as pipeline:
            for call in calls:
                if self.asks:
                    pipeline.execute_command("ASKING")
                pipeline.execute_command(*call)
            answers: list[Any] = await pipeline.execute(raise_on_error=False)
        return answers[1::2] if self.asks else answers

    async def do(self, *call: bytes | str | int) -> Any:
        """Send one command; return its answer, or raise its error."""
        [answer] = await self.send([call])
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def run(self, script: bytes, *call: bytes | str | int) -> Any:
        """Call a script of one key."""
        sha = _sha_of(script)
        try:
            return await self.do("EVALSHA", sha, 1, *call)
        except NoScriptError:
            await self.client.script_load(script)
            return await self.do("EVALSHA", sha, 1, *call)


def _sha_of(script: bytes) -> str:
    return hashlib.sha1(script, usedforsecurity=False).hexdigest()


async def run_script(
    client: Redis, script: bytes, keys: int, calls: Sequence[Call], then: Call | None = None
) -> list[Any]:
    """Call a script once for each of the calls, in one round trip; return answers and errors.

    then: a command after them on the same connection; what it answers comes last.
    """
    sha = _sha_of(script)
    if then is not None:
        await client.script_load(script)  # else a new Redis would have it waited for twice
    async with client.pipeline(transaction=False) as pipeline:
        for call in calls:
            pipeline.execute_command("EVALSHA", sha, keys, *call)
        if then is not None:
            pipeline.execute_command(*then)
        answers: list[Any] = await pipeline.execute(raise_on_error=False)
    if any(isinstance(answer, NoScriptError) for answer in answers):
        # A new Redis: none of the calls that it does not know the script for has run.
        await client.script_load(script)
        again = [n for n, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
        rest = await run_script(client, script, keys, [calls[n] for n in again], then)
        for n, answer in zip([*again, len(calls)], rest, strict=False):
            answers[n] = answer
    return answers
