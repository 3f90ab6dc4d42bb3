"""Replicas that start from snapshots, of one Redis and one bundle."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from export.embedder import Embedder
from service.follower import Follower
from service.generation import Generation
from service.intake import Intake
from service.items import Items, Posted
from service.processes.preparation import prepare
from service.settings import Settings
from service.snapshot import kept_in
from service.snapshot.duty import SnapshotDuty
from service.stores import open_store
from tests.service.test_follower import until


class Replica:
    """A generation prepared as a loader does it, with what a worker runs beside requests."""

    def __init__(self, settings: Settings, bundle: Path, embedder: Embedder) -> None:
        self.settings = settings
        self.generation = Generation.load(bundle)
        store = open_store(settings, self.generation)
        prepare(self.generation, store, kept_in(settings))
        self.store = open_store(settings, self.generation)
        self.intake = Intake(self.store, self.generation, embedder)
        self.follower = Follower(self.store, self.generation, self.intake)
        self.items = Items(self.generation, embedder, self.store, self.intake)
        self.duty = SnapshotDuty(settings, self.generation, self.follower, self.store)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        self.follower.start()
        self.duty.start()
        try:
            yield
        finally:
            await self.follower.stop()
            await self.duty.stop()
            await self.store.link.close()

    async def post(self, count: int, name: str = "x") -> None:
        outcomes = await self.items.post(
            [{"id": f"{name}{n}", "length": n, "topics": ["art"]} for n in range(count)]
        )
        last = outcomes[-1]
        assert isinstance(last, Posted), last
        assert await self.follower.wait_for(last.log_id, 10)
        await until(self.knows_the_log)

    def knows_the_log(self) -> bool:
        """Say whether the log's epoch was seen: it may have been given by the last write."""
        position = self.generation.position
        return position is not None and position.epoch is not None

    @property
    def numbers(self) -> list[int]:
        return kept_in(self.settings).numbers(self.generation.version)


class World:
    """One Redis, one bundle; replicas of them."""

    def __init__(self, url: str, bundle: Path, embedder: Embedder, folder: Path) -> None:
        self.url, self.bundle, self.embedder, self.folder = url, bundle, embedder, folder

    def replica(self, name: str = "data", **options: float) -> Replica:
        told = {"redis": self.url, "data_folder": self.folder / name, **options}
        return Replica(Settings.model_validate(told), self.bundle, self.embedder)
