"""What a loader does between reading a bundle and forking workers: take over what was posted."""

import asyncio
import logging
import os

from export.contract.errors import BundleError
from export.embedder import Embedder
from service.follower import Follower
from service.generation import Generation
from service.intake import Intake
from service.rollout.pointer import Pointer
from service.snapshot import Snapshots
from service.store import Store, StoreUnavailable

logger = logging.getLogger(__name__)


class ItemsUnread(BundleError):
    """What was posted cannot be read, while others serve it: no version is to blame."""


def prepare(
    generation: Generation, store: Store, snapshots: Snapshots, *, takes_over: bool = False
) -> None:
    """Apply the newest snapshot and what the log tells since, or all items of the store.

    And rebuild the main index if they are many. So workers share what was posted, and start with
    little to read. A store that does not answer is no fault: the snapshot is served, and the
    workers go on from there when it does. Leaves no session and no connection.

    Raises:
        ItemsUnread: Nor does the store answer; only where others serve meanwhile (`takes_over`).

    """
    asyncio.run(_take_over(generation, store, snapshots, takes_over))
    if generation.has_grown or generation.awaits_growth:
        # Beside this process the old workers still serve: half of the cores are theirs.
        generation.compact(threads=max(1, len(os.sched_getaffinity(0)) // 2))


async def _take_over(
    generation: Generation, store: Store, snapshots: Snapshots, takes_over: bool
) -> None:
    try:
        epoch = (await store.log.state()).epoch
    except StoreUnavailable:
        epoch = None
    restore(generation, snapshots, epoch)
    has_snapshot = generation.position is not None
    embedder = Embedder.open(generation.bundle.layout, generation.schema)
    follower = Follower(store, generation, Intake(store, generation, embedder))
    try:
        await follower.catch_up()
    except StoreUnavailable as error:
        if takes_over:
            raise ItemsUnread(f"items cannot be read, and others serve them: {error}") from error
        logger.warning("items not read before serving", extra={"reason": str(error)})
    finally:
        # The log does not go on where the snapshot ends: workers compare, as after a break.
        generation.is_ahead = has_snapshot and follower.counts.loads > 0
        await store.link.close()


def forget_vectors(store: Store, pointer: Pointer) -> None:
    """Have Redis forget the vectors of versions that a pointer does not name.

    A store that does not answer is no fault: they go at the next load, or expire. Leaves no
    connection.
    """
    asyncio.run(_forget_vectors(store, pointer))


async def _forget_vectors(store: Store, pointer: Pointer) -> None:
    named = (pointer.current, pointer.candidate, pointer.previous)
    try:
        gone = await store.vectors.forget_others([one for one in named if one is not None])
    except StoreUnavailable as error:
        logger.warning("vectors not forgotten", extra={"reason": str(error)})
        return
    finally:
        await store.link.close()
    if gone:
        logger.info("vectors forgotten", extra={"versions": gone})


def restore(generation: Generation, snapshots: Snapshots, epoch: bytes | None) -> None:
    """Apply the newest snapshot that can be used, if there is one.

    One of another log than the one in Redis is not used; where Redis has none, or does not
    answer, any is: it then is the only one who remembers.
    """
    snapshot = snapshots.newest(generation.bundle, epoch)
    if snapshot is None:
        return
    for item, vector in snapshot.rows:
        generation.apply(item, vector)
    generation.position = snapshot.facts.position
    facts = {"path": str(snapshot.folder), "items": len(snapshot.rows)}
    logger.info("snapshot restored", extra=facts | {"log_id": snapshot.facts.cursor})
