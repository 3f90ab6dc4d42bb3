"""The versions whose vectors Redis keeps; those of the others need not wait until they expire."""

from collections.abc import Collection
from typing import Any

from redis.asyncio import Redis

from service.store.connection import answering
from service.store.keys import Keys
from service.store.revs import ItemRevs

READ_MOST = 512

GOING = b"-"
"""In front of a version whose vectors are being removed; no version begins with it."""


class VectorVersions:
    """The versions that gave a vector that was kept, and have not been forgotten since.

    Noted by the scripts that keep vectors, so that there is no vector without the note.

    Every method raises StoreUnavailable when Redis does not answer in time, or with an error.
    """

    def __init__(self, client: Redis, keys: Keys, revs: ItemRevs) -> None:
        self._client = client
        self._keys = keys
        self._revs = revs

    async def forget_others(self, named: Collection[str]) -> list[str]:
        """Remove the vectors of all versions but these; return which versions that were.

        Who serves one of them still computes what it lacks. A vector that is kept meanwhile notes
        its version anew; what an end in the middle leaves is still noted, as going.
        """
        with answering():
            noted: set[Any] = await self._client.smembers(self._keys.versions)
        gone = sorted({one.removeprefix(GOING).decode(errors="replace") for one in noted})
        gone = [one for one in gone if one not in named]
        if not gone:
            return []
        going = [GOING + one.encode() for one in gone]
        with answering():
            await self._client.sadd(self._keys.versions, *going)
            await self._client.srem(self._keys.versions, *gone)
        async for page in self._revs.pages(READ_MOST):
            ids = [one.decode(errors="replace") for one, _ in page]
            for version in gone:
                with answering():
                    await self._client.delete(*(self._keys.vector(version, one) for one in ids))
        with answering():
            await self._client.srem(self._keys.versions, *going)
        return gone
