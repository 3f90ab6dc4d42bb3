"""The way to the users: one server has them all, or each node of a cluster some."""

import asyncio
import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple, TypeVar

from redis.asyncio import Redis
from redis.exceptions import AskError, MovedError, RedisError

from service.redis.slots import Slots
from service.redis.url import Address
from service.store.base import StoreUnavailable
from service.store.breaker import Breaker
from service.store.connection import Line, answering
from service.store.guide import ClusterGuide
from service.store.within import Within

logger = logging.getLogger(__name__)

T = TypeVar("T")

REDIRECTS = 2
"""How often a call goes where it is told to: after a missed move, and into one that goes on."""

Found = bytes | StoreUnavailable | None
"""What stands under a key; None: nothing does."""


class Node(NamedTuple):
    """A server: the client of it, and the breaker that guards that."""

    client: Redis
    breaker: Breaker


class Place(NamedTuple):
    """A node, and whether it must be asked (ASKING) for a key that is just being moved to it."""

    address: Address
    asks: bool = False


class Nodes(ABC):
    """The servers by key.

    Every method raises StoreUnavailable when Redis does not answer in time, or with an error.
    """

    @abstractmethod
    async def ask(self, key: bytes, work: Callable[[Line], Awaitable[T]]) -> T:
        """Do something with the server that has a key, bounded in time.

        work: what it does a second time, after it was told that another server has the key, must
        be the same as done once.
        """

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

    async def ask(self, key: bytes, work: Callable[[Line], Awaitable[T]]) -> T:
        """Do something with it."""
        async with self._home.breaker.answering():
            return await work(Line(self._home.client))

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
    was moved (MOVED) is looked for by a new map, one of a slot that is being moved just now (ASK)
    at the node that is said to get it: who said so has done nothing. All of a call together, with
    the question for the map, is bounded by one timeout.

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

    async def ask(self, key: bytes, work: Callable[[Line], Awaitable[T]]) -> T:
        """Do something with the node that has a key, whichever that is by then."""
        until_s = time.monotonic() + self._timeout_s
        redirect: Exception | None = None
        for _ in range(REDIRECTS):
            try:
                return await self._try(key, redirect, work, until_s)
            except StoreUnavailable as error:
                redirect = _redirect(error)
                if redirect is None:
                    raise
        return await self._try(key, redirect, work, until_s)

    async def _try(
        self,
        key: bytes,
        redirect: Exception | None,
        work: Callable[[Line], Awaitable[T]],
        until_s: float,
    ) -> T:
        [(place, _)] = await self._by_place([key], [redirect], until_s)
        node = self._node(place.address)
        async with node.breaker.answering(), _until(until_s):
            return await work(Line(node.client, place.asks))

    async def get_all(self, keys: Sequence[bytes]) -> list[Found]:
        """Read keys, each node asked once and all at the same time."""
        until_s = time.monotonic() + self._timeout_s
        found = await self._get(keys, [None] * len(keys), until_s)
        for _ in range(REDIRECTS):
            redirects = {n: _redirect(one) for n, one in enumerate(found) if _redirect(one)}
            if not redirects:
                break
            try:
                again = await self._get(
                    [keys[n] for n in redirects], list(redirects.values()), until_s
                )
            except StoreUnavailable:
                break  # so these are unavailable, as they are
            for n, one in zip(redirects, again, strict=True):
                found[n] = one
        failed = [one for one in found if isinstance(one, StoreUnavailable)]
        if failed and len(failed) == len(found):
            raise failed[0]
        return found

    async def _get(
        self, keys: Sequence[bytes], redirects: Sequence[Exception | None], until_s: float
    ) -> list[Found]:
        groups = await self._by_place(keys, redirects, until_s)
        parts = await asyncio.gather(
            *(
                _get_from(self._node(at), asks, [keys[n] for n in members], until_s)
                for (at, asks), members in groups
            )
        )
        found: list[Found] = [None] * len(keys)
        for (_, members), values in zip(groups, parts, strict=True):
            for n, value in zip(members, values, strict=True):
                found[n] = value
        return found

    async def _by_place(
        self, keys: Sequence[bytes], redirects: Sequence[Exception | None], until_s: float
    ) -> "list[tuple[Place, list[int]]]":
        """Return where keys are, by the map or as a node said of one, each with which those are."""
        if any(isinstance(one, MovedError) for one in redirects):
            self._guide.slots = None
        slots = await self._map(until_s)
        groups: dict[Place, list[int]] = {}
        with answering():
            for n, (key, redirect) in enumerate(zip(keys, redirects, strict=True)):
                place = Place(slots.of(key))
                if isinstance(redirect, AskError) and not isinstance(redirect, MovedError):
                    place = Place((redirect.host or place.address[0], redirect.port), asks=True)
                groups.setdefault(place, []).append(n)
        return list(groups.items())

    async def _map(self, until_s: float) -> Slots:
        if self._guide.slots is None:
            async with self._home.breaker.answering(), _until(until_s):
                await self._guide.find_slots()
        slots = self._guide.slots
        if slots is None:
            raise StoreUnavailable("the nodes of the cluster are just changing")
        if slots is not self._slots:
            self._follow(slots)
        return slots

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


async def _get_from(node: Node, asks: bool, keys: Sequence[bytes], until_s: float) -> list[Found]:
    """Read keys of one node; not by MGET, which is for keys of one slot."""
    try:
        async with node.breaker.answering(), _until(until_s):
            values = await Line(node.client, asks).send([("GET", key) for key in keys])
    except StoreUnavailable as error:
        return [error] * len(keys)
    return [_unavailable(one) if isinstance(one, Exception) else one for one in values]


def _until(until_s: float) -> Within:
    """Bound what is left of a call; within a breaker, which is to hear of the silence."""
    return Within(max(until_s - time.monotonic(), 0.001))


def _unavailable(cause: Exception) -> StoreUnavailable:
    error = StoreUnavailable(f"{type(cause).__name__}: {cause}")
    error.__cause__ = cause
    return error


def _redirect(found: Found) -> Exception | None:
    """Return the word of a node that another has the key, if that is why it is unavailable."""
    cause = found.__cause__ if isinstance(found, StoreUnavailable) else None
    return cause if isinstance(cause, AskError) else None  # which MOVED is one of
