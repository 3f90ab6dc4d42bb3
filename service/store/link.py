"""The connections of one process to its Redis, guarded by breakers, and how that Redis keeps data.

Shared by all who read and write there, with whatever schema.
"""

import contextlib
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from service.observe import BREAKER_OPEN
from service.redis.url import Address, RedisUrl, read_url
from service.store.base import StoreUnavailable
from service.store.breaker import Breaker
from service.store.connection import Call, connect, connect_at
from service.store.durability import Durability, Keeping, WriteAck, read_keeping
from service.store.guide import ASK_S, ClusterGuide, Guide, SentinelGuide
from service.store.keys import Keys
from service.store.nodes import ClusterNodes, Node, Nodes, OneNode
from service.store.within import Within

CONNECTIONS = 8
"""Of requests to one server, reads and writes apart."""


class Link:
    """Three pools of connections to the server that holds the catalogue, and the way to users.

    Users are where the catalogue is, except in a cluster, which spreads them over its nodes.

    Recalls, which go on without Redis, read within `timeout_s`. Calls by id have no other answer
    than its own: writes, which wait for a disk, and reads of one record are given
    `write_timeout_s`. Readers of the log block, so `log_timeout_s` bounds more than that. Recalls
    and calls by id have a breaker each, for a Redis that is too slow for the one may do for the
    other. The readers of the log have none: no request waits for them, and they pace themselves.

    Every method raises StoreUnavailable when Redis does not answer in time, or with an error.
    """

    def __init__(
        self,
        url: str,
        *,
        prefix: str = "fs",
        timeout_s: float = 0.05,
        write_timeout_s: float = 2.0,
        log_timeout_s: float = 2.0,
        ack: WriteAck | None = None,
    ) -> None:
        self._ack = ack or WriteAck()
        self._keeping: Keeping | None = None
        self._last_keeping: Keeping | None = None
        self._url = read_url(url)
        self._guide = guide = _guide_of(self._url, Keys(prefix))
        self.reads = connect(self._url, timeout_s, CONNECTIONS, guide=guide)
        self.writes = connect(self._url, write_timeout_s, CONNECTIONS, self._forget, guide)
        self.follows = connect(self._url, log_timeout_s, connections=4, guide=guide)
        self.reading = Breaker("recalls", self.reads, timeout_s, self.show)
        self.writing = Breaker("calls by id", self.writes, write_timeout_s, self.show)
        self.user_reads = self._nodes(Node(self.reads, self.reading), timeout_s)
        self.user_writes = self._nodes(Node(self.writes, self.writing), write_timeout_s)
        self.show()

    def _nodes(self, home: Node, timeout_s: float) -> Nodes:
        if not isinstance(self._guide, ClusterGuide):
            return OneNode(home)

        def make(address: Address) -> Node:
            client = connect_at(self._url, address, timeout_s, CONNECTIONS)
            return Node(client, Breaker(f"users at {address}", client, timeout_s, self.show))

        return ClusterNodes(home, self._guide, make, timeout_s, self.show)

    async def close(self) -> None:
        """Close all connections."""
        for breaker in (self.reading, self.writing):
            await breaker.close()
        for nodes in (self.user_reads, self.user_writes):
            await nodes.close()
        for client in (self.reads, self.writes, self.follows):
            await client.aclose()
        if self._guide is not None:
            await self._guide.close()

    @property
    def is_open(self) -> bool:
        """Whether a breaker is open, so that reads or writes are refused without being tried."""
        nodes = self.user_reads.is_open or self.user_writes.is_open
        return self.reading.is_open or self.writing.is_open or nodes

    def show(self) -> None:
        """Set the gauge of the breakers."""
        BREAKER_OPEN.set(self.is_open)

    async def ping(self) -> None:
        """Ask whether Redis answers a request in time."""
        async with self.reading.answering():
            await self.reads.ping()

    @property
    def durability(self) -> Durability | None:
        """What acknowledged writes survived when Redis was last asked; None: it never was."""
        return None if self._last_keeping is None else self._ack.durability(self._last_keeping)

    async def look(self) -> Keeping:
        """Ask Redis how it keeps data, which its owner may change at any time.

        And which server it is by now: one that was replaced need not say so itself.
        """
        if self._guide is not None:
            with contextlib.suppress(RedisError, OSError):  # who is known may still answer
                async with Within(ASK_S):
                    await self._guide.find()
        return await self._look()

    async def _look(self) -> Keeping:
        async with self.writing.answering():
            self._keeping = self._last_keeping = await read_keeping(self.writes, self._ack.kind)
        return self._keeping

    def _forget(self) -> None:
        self._keeping = None  # a new connection may lead to another Redis

    async def wait_call(self) -> Call | None:
        """Return the command that waits until writes are as durable as asked; None: none is."""
        return self._ack.call(self._keeping or await self._look())

    async def fault(self, reply: Any) -> str | None:
        """Say why writes of this moment are not durable; they may have gone to another Redis.

        reply: what was answered to `wait_call`; None if that was not asked.
        """
        try:
            return self._ack.fault(self._keeping or await self._look(), reply)
        except StoreUnavailable:
            return "redis took it and has not told since how it keeps data"


def _guide_of(url: RedisUrl, keys: Keys) -> Guide | None:
    def ask(address: Address) -> Redis:
        return connect_at(url, address, ASK_S, connections=1, asking=True)

    if url.kind == "sentinel":
        return SentinelGuide(url, ask)
    if url.kind == "cluster":
        return ClusterGuide(url, ask, keys.items)
    return None
