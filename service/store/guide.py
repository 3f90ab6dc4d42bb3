"""Where the catalogue is: asked of Sentinels, or of the nodes of a cluster, whenever it matters."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Any, Final

from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from service.redis.client import primary_of, primary_question
from service.redis.slots import Slots
from service.redis.url import Address, RedisUrl, name_of
from service.store.task import end
from service.store.within import Within

ASK_S: Final = 1.0
"""How long one of those who know may take before the next is asked."""

Ask = Callable[[Address], Redis]
"""Makes a client of one of those who know."""


class Guide(ABC):
    """Knows who knows which server holds the catalogue, and what was said last.

    It is asked for each new connection and once a second. Who asks while another does waits for
    the same answer; who stops waiting stops nobody else. So a Sentinel or a node that hangs costs
    its time once, then another is asked first.
    """

    def __init__(self, hosts: Iterable[Address], ask: Ask) -> None:
        self.now: Address | None = None
        """The server as it was told last; None: it was never told, or has been left since."""
        self._hosts = list(hosts)
        self._ask = ask
        self._clients: dict[Address, Redis] = {}
        self._asking: asyncio.Task[Address] | None = None

    async def find(self) -> Address:
        """Ask anew which server it is.

        Raises:
            redis.ConnectionError: Nobody tells.

        """
        if self._asking is None or self._asking.done():
            self._asking = asyncio.get_running_loop().create_task(self._find())
            self._asking.add_done_callback(lambda task: task.cancelled() or task.exception())
        return await asyncio.shield(self._asking)

    def left(self, address: Address) -> None:
        """Note that a server said it is not the one: every connection to it is made anew."""
        if self.now == address:
            self.now = None

    def doubt(self) -> None:
        """Note that whoever was told of is not there: ask somebody else first next time."""
        self._hosts.append(self._hosts.pop(0))

    async def close(self) -> None:
        """Stop asking."""
        await end(self._asking)
        while self._clients:
            await self._clients.popitem()[1].aclose()

    async def _find(self) -> Address:
        reasons = []
        for host in list(self._hosts):
            # Kept, for a new connection with TLS reads the system's authorities again.
            client = self._clients.get(host) or self._ask(host)
            self._clients[host] = client
            try:
                async with Within(ASK_S):
                    self.now = await self._read(client, host)
            except (RedisError, OSError) as error:
                reasons.append(f"{name_of(host)}: {error}")
                self._hosts.remove(host)
                self._hosts.append(host)
                await self._clients.pop(host).aclose()
            else:
                return self.now
        raise RedisConnectionError("nobody tells where the catalogue is: " + "; ".join(reasons))

    @abstractmethod
    async def _read(self, client: Redis, asked: Address) -> Address:
        """Ask one of those who know."""


class SentinelGuide(Guide):
    """Asks Sentinels for the primary of a service."""

    def __init__(self, url: RedisUrl, ask: Ask) -> None:
        super().__init__(url.hosts, ask)
        self._url = url

    def left(self, address: Address) -> None:
        """Note that a server is not the primary: whoever named it knows less than the others."""
        if self.now == address:
            self.doubt()
        super().left(address)

    async def _read(self, client: Redis, asked: Address) -> Address:
        question = primary_question(self._url)
        found: Any = await client.execute_command(*question)  # type: ignore[no-untyped-call]
        return primary_of(found, str(self._url.service))


class ClusterGuide(Guide):
    """Asks the nodes of a cluster which of them holds what; any of its keys tells the catalogue's.

    slots: the map as it was told last; None: there is none, or it was wrong somewhere.
    """

    def __init__(self, url: RedisUrl, ask: Ask, key: bytes) -> None:
        super().__init__(url.hosts, ask)
        self._given = url.hosts
        self._key = key
        self.slots: Slots | None = None

    async def find_slots(self) -> Slots:
        """Ask anew, unless there is a map."""
        while self.slots is None:
            await self.find()
        return self.slots

    async def _read(self, client: Redis, asked: Address) -> Address:
        reply: Any = await client.execute_command("CLUSTER", "SLOTS")  # type: ignore[no-untyped-call]
        slots = Slots(reply, asked)
        address = slots.of(self._key)
        self.slots = slots
        self._hosts = list(dict.fromkeys([asked, *slots.everyone, *self._given]))
        return address
