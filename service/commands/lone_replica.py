"""A replica that serves nobody: a command's own view of what is stored, from snapshot and log."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

from pydantic import SecretStr

from export.contract.errors import ConfigError
from export.embedder import Embedder
from service.duties.reconcile import Reconciled, Reconciler
from service.follower import Follower
from service.generation import Generation
from service.intake import Intake
from service.processes.preparation import restore
from service.redis.embedded import socket_path
from service.rollout.bundles import bundle_to_serve
from service.settings import Settings
from service.snapshot import kept_in
from service.snapshot.duty import SnapshotDuty
from service.store import Store, StoreUnavailable
from service.stores import open_store

T = TypeVar("T")


@dataclass(frozen=True)
class Replica:
    """What a worker has beside its use cases."""

    generation: Generation
    store: Store
    intake: Intake
    follower: Follower
    served: Sequence[str]
    """The versions that the pointer names for users."""


Work = Callable[[Replica], Awaitable[T]]


class NoReplica(Exception):
    """There is nothing to be a replica of; the message is the one line that says why."""

    exit_code = 1


def write_snapshot(settings: Settings) -> tuple[Path | None, bool]:
    """Write a snapshot; return the newest one, None while there is none, and if it is new.

    Where the newest one holds all there is it stays that.

    Raises:
        NoReplica, ConfigError, BundleError: There is no Redis, no bundle, or no snapshot is kept.
        OSError, SnapshotError: It cannot be written.

    """
    if not settings.snapshots_kept:
        raise ConfigError("FIRSTSIGHT_SNAPSHOTS_KEPT: got 0, expected at least 1 to write one")

    async def write(one: Replica) -> tuple[Path | None, bool]:
        duty = SnapshotDuty(settings, one.generation, one.follower, one.store, one.served)
        path = await duty.write(waits=True)
        if path is not None:
            return path, True
        kept, version = kept_in(settings), one.generation.version
        numbers = kept.numbers(version)
        return (kept.path(version, numbers[-1]) if numbers else None), False

    return _run(settings, write)


def reconcile(settings: Settings) -> Reconciled:
    """Compare what snapshot and log tell with all that is stored, and mend both.

    Raises:
        NoReplica, ConfigError, BundleError: There is no Redis, or no bundle.
        Behind: The log was not applied in time.

    """

    async def work(one: Replica) -> Reconciled:
        return await Reconciler(one.generation, one.store, one.intake, one.follower).reconcile()

    return _run(settings, work)


def _run(settings: Settings, work: Work[T]) -> T:
    settings = _with_redis(settings)
    pointer, folder = bundle_to_serve(settings)
    if folder is None:
        raise NoReplica(f"no bundle: none is active, or it is not in {settings.bundles}")
    generation = Generation.load(folder)
    named = [] if pointer is None else [pointer.current, pointer.candidate]
    served = [one for one in named if one is not None]
    return asyncio.run(_work(settings, generation, served, work))


def _with_redis(settings: Settings) -> Settings:
    """Return settings that name a Redis, the embedded one of a running service if none."""
    if settings.redis is not None:
        return settings
    path = socket_path(settings.data_folder / "redis")
    if not path.is_socket():
        raise NoReplica(
            f"no Redis: no service runs on {settings.data_folder}; start one, or give --redis URL"
        )
    return settings.model_copy(update={"redis": SecretStr(f"unix://{quote(str(path))}")})


async def _work(
    settings: Settings, generation: Generation, served: Sequence[str], work: Work[T]
) -> T:
    store = open_store(settings, generation)
    embedder = Embedder.open(generation.bundle.layout, generation.schema)
    intake = Intake(store, generation, embedder)
    follower = Follower(store, generation, intake)
    try:
        restore(generation, kept_in(settings), (await store.log.state()).epoch)
        follower.start()
        if not await follower.loaded(settings.catch_up_s):
            raise NoReplica(f"not all items were read within {settings.catch_up_s:g} s")
        return await work(Replica(generation, store, intake, follower, served))
    except StoreUnavailable as error:
        raise NoReplica(f"Redis does not answer: {error}") from error
    finally:
        await follower.stop()
        await store.link.close()
