"""What a loader does between reading a bundle and forking workers: take over what was posted."""

import asyncio
import logging
import os

from export.embedder import Embedder
from service.generation import Generation
from service.refresh import Follower
from service.store import Store, StoreUnavailable

logger = logging.getLogger(__name__)


def prepare(generation: Generation, store: Store) -> None:
    """Apply all items of the store, and rebuild the main index if they are many.

    So workers share what was posted, and start with little to read. A store that does not answer
    is no fault: the workers read the items when it does. Leaves no session and no connection.
    """
    asyncio.run(_take_over(generation, store))
    if generation.has_grown:
        # Beside this process the old workers still serve: half of the cores are theirs.
        generation.compact(threads=max(1, len(os.sched_getaffinity(0)) // 2))


async def _take_over(generation: Generation, store: Store) -> None:
    embedder = Embedder.open(generation.bundle.layout, generation.schema)
    follower = Follower(store, generation, embedder)
    try:
        await follower.load()
    except StoreUnavailable as error:
        logger.warning("items not read before serving", extra={"reason": str(error)})
    finally:
        await store.close()
