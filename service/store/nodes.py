"""The way to the users: one server has them all, or each node of a cluster some."""

import asyncio
import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple, TypeVar

from redis.asyncio import Redis
from redis.exceptions import MovedError, RedisError

from service.redis.slots import Slots
from service.redis.url import Address
from service.store.base import StoreUnavailable
from service.store.breaker import Breaker
from service.store.connection import answering
from service.store.guide import ClusterGuide
from service.store.within import Within

logger = logging.getLogger(__name__)

T = TypeVar("T")

Found = bytes | StoreUnavailable | None
"""What stands under a key; None: nothing does."""


class Node(NamedTuple):
    """A server: the client of it, and the breaker that guards that."""

    client: Redis
    breaker: Breaker


class Nodes(ABC):
    """The servers by key.

    Every method raises StoreUnavailable when Redis does not answer in time, or with an error.
    """

    @abstractmethod
    async def ask(self, key: bytes, work: Callable[[Redis], Awaitable[T]]) -> T:
        """Do something with the server that has a key, bounded in time."""

    @abstractmethod
    async def get_all(self, keys: Sequence[bytes]) -> list[Found]:
        """Read keys, in order; StoreUnavailable stands for one whose server alone failed."""

    @property
    @abstractmethod
    def is_open(self) -> bool:
        """Whether a breaker is open that is not of the catalogue's server."""

    @abstractmethod
    async def close(self) -> None:
        """Close all connections that are not the catalogue's."""


class OneNode(Nodes):
    """The one server that has all keys."""

    is_open = False

    def __init__(self, home: Node) -> None:
        self._home = home

    async def ask(self, key: bytes, work: Callable[[Redis], Awaitable[T]]) -> T:
        """Do something with it."""
        async with self._home.breaker.answering():
            return await work(self._home.client)

    async def get_all(self, keys: Sequence[bytes]) -> list[Found]:
        """Read keys in one command."""
        async with self._home.breaker.answering():
            found: Any = await self._home.client.mget(list(keys))
        return list(found)

    async def close(self) -> None:
        """Close nothing."""


class ClusterNodes(Nodes):
    """The nodes of a cluster, each with connections and a breaker of its own.

    A node that fails is the matter of the users that it has; the others are served. A key that
    was moved (MOVED) is looked for once more, by a new map: the first node has done nothing. One
    of a slot that is being moved just now (ASK, TRYAGAIN) is unavailable until it has been.

    home: the server of the catalogue; its breaker guards the question for the map.
    on_change: called when a node is parted with, whose breaker may have been open.
    """

    def __init__(
        self,
        home: Node,
        guide: ClusterGuide,
        make: Callable[[Address], Node],
        timeout_s: float,
        on_change: Callable[[], None],
    ) -> None:
        self._home = home
        self._on_change = on_change
        self._guide = guide
        self._make = make
        self._timeout_s = timeout_s
        self._slots: Slots | None = None
        self._nodes: dict[Address, Node] = {}
        self._leaving: set[asyncio.Task[None]] = set()

    async def ask(self, key: bytes, work: Callable[[Redis], Awaitable[T]]) -> T:
        """Do something with the node that has a key."""
        try:
            return await self._try(key, work)
        except StoreUnavailable as error:
            if not isinstance(error.__cause__, MovedError):
                raise
        self._guide.slots = None
        return await self._try(key, work)

    async def _try(self, key: bytes, work: Callable[[Redis], Awaitable[T]]) -> T:
        [(node, _)] = await self._by_node([key])
        async with node.breaker.answering():
            return await work(node.client)

    async def get_all(self, keys: Sequence[bytes]) -> list[Found]:
        """Read keys, each node asked once and all at the same time."""
        until_s = time.monotonic() + self._timeout_s
        found = await self._get(keys)
        moved = [n for n, one in enumerate(found) if _is_moved(one)]
        if moved:
            self._guide.slots = None
            try:
                async with Within(max(until_s - time.monotonic(), 0.001)):
                    again = await self._get([keys[n] for n in moved])
            except (TimeoutError, StoreUnavailable):
                again = []  # so these are unavailable, as they are
            for n, one in zip(moved, again, strict=False):
                found[n] = one
        failed = [one for one in found if isinstance(one, StoreUnavailable)]
        if failed and len(failed) == len(found):
            raise failed[0]
        return found

    async def _get(self, keys: Sequence[bytes]) -> list[Found]:
        groups = await self._by_node(keys)
        parts = await asyncio.gather(
            *(_get_from(node, [keys[n] for n in places]) for node, places in groups)
        )
        found: list[Found] = [None] * len(keys)
        for (_, places), values in zip(groups, parts, strict=True):
            for n, value in zip(places, values, strict=True):
                found[n] = value
        return found

    async def _by_node(self, keys: Sequence[bytes]) -> list[tuple[Node, list[int]]]:
        """Return the nodes that have keys, each with the places of its keys."""
        if self._guide.slots is None:
            async with self._home.breaker.answering():
                await self._guide.find_slots()
        slots = self._guide.slots
        if slots is None:
            raise StoreUnavailable("the nodes of the cluster are just changing")
        if slots is not self._slots:
            self._follow(slots)
        groups: dict[Address, list[int]] = {}
        with answering():
            for n, key in enumerate(keys):
                groups.setdefault(slots.of(key), []).append(n)
        return [(self._node(address), places) for address, places in groups.items()]

    def _node(self, address: Address) -> Node:
        if address not in self._nodes:
            self._nodes[address] = self._make(address)
        return self._nodes[address]

    def _follow(self, slots: Slots) -> None:
        """Part with nodes that have no slots any more, or nobody would end their probes."""
        self._slots = slots
        for address in self._nodes.keys() - slots.nodes:
            # No request waits for the end of a connection: that of TLS to a node that hangs takes
            # as long as a reply.
            leaving = asyncio.create_task(_close(self._nodes.pop(address)))
            self._leaving.add(leaving)
            leaving.add_done_callback(self._leaving.discard)
            self._on_change()

    @property
    def is_open(self) -> bool:
        """Whether the breaker of a node is open."""
        return any(node.breaker.is_open for node in self._nodes.values())

    async def close(self) -> None:
        """Close the connections to all nodes."""
        while self._nodes:
            await _close(self._nodes.popitem()[1])
        await asyncio.gather(*self._leaving)


async def _close(node: Node) -> None:
    await node.breaker.close()
    try:
        await node.client.aclose()
    except (RedisError, OSError) as error:
        logger.info("connections not closed in order", extra={"reason": str(error)})


async def _get_from(node: Node, keys: Sequence[bytes]) -> list[Found]:
    """Read keys of one node; not by MGET, which is for keys of one slot."""
    try:
        async with node.breaker.answering(), node.client.pipeline(transaction=False) as pipeline:
            for key in keys:
                pipeline.get(key)
            values: list[Any] = await pipeline.execute(raise_on_error=False)
    except StoreUnavailable as error:
        return [error] * len(keys)
    return [_unavailable(one) if isinstance(one, Exception) else one for one in values]


def _unavailable(cause: Exception) -> StoreUnavailable:
    error = StoreUnavailable(f"{type(cause).__name__}: {cause}")
    error.__cause__ = cause
    return error


def _is_moved(found: Found) -> bool:
    return isinstance(found, StoreUnavailable) and isinstance(found.__cause__, MovedError)
