import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import redis

import service.store.redis as stored
from export.contract.errors import SchemaError
from export.contract.side import Record, Side, SideName
from export.embedder import Embedder, Vectors
from service.duties.reconcile import Reconciler
from service.intake import Taken
from service.records import ItemRecord, read_item
from service.store import StoreUnavailable
from tests.service.test_follower import Make, Replica, make, run, running

__all__ = ["make"]


def test_a_vector_of_another_version_is_computed_and_kept(
    make: Make, redis_client: redis.Redis
) -> None:
    async def test() -> None:
        a, b = make(), make()
        b.generation.version = "tiny-2"
        async with running(a, b):
            log_id = await a.post(id="x", topics=["art"])
            assert await b.follower.wait_for(log_id, 5)
            assert b.seen("x") == a.seen("x")
            assert b.intake.counts.embedded == 1
            kept = redis_client.get("{fs}:vec:tiny-2:x")
            assert kept == redis_client.get("{fs}:vec:tiny-1:x")
            assert kept is not None

    run(test)


class Picky(Embedder):
    """Refuses a length of 666, as a tower that gives NaN is refused."""

    def embed(
        self, side: SideName, records: Sequence[Record], present: Sequence[bool] | None = None
    ) -> Vectors:
        if any(record.get("length") == 666 for record in records):
            raise SchemaError("the item tower gave a vector that is not of unit length")
        return super().embed(side, records, present)


def test_an_item_that_cannot_be_embedded_takes_no_other_along(
    make: Make, bundle_folder: Path, redis_url: str, embedder: Embedder
) -> None:
    async def test() -> None:
        a = make()
        b = Replica(redis_url, bundle_folder, Picky(embedder.schema, embedder._towers))
        b.generation.version = "tiny-2"
        async with running(a):
            await a.items.post([{"id": f"x{n}", "length": n} for n in (1, 666, 3)])
            async with running(b):
                assert await b.follower.loaded(5)
                assert [f"x{n}" in b.generation for n in (1, 666, 3)] == [True, False, True]
                assert b.intake.counts.poisoned == 1

    run(test)


def breaks_apply(a: Replica, monkeypatch: pytest.MonkeyPatch) -> None:
    real = a.generation.apply

    def apply(item: ItemRecord, vector: Vectors | None) -> bool:
        if item.id == "bad":
            raise ZeroDivisionError("nobody foresaw it")
        return real(item, vector)

    monkeypatch.setattr(a.generation, "apply", apply)


def breaks_served(a: Replica, monkeypatch: pytest.MonkeyPatch) -> None:
    real = a.generation.served
    a.generation.version = "tiny-2"  # it has to compute the vectors

    def served(item: ItemRecord) -> ItemRecord:
        if item.id == "bad":
            raise ZeroDivisionError("nobody foresaw it")
        return real(item)

    monkeypatch.setattr(a.generation, "served", served)


def breaks_reading(a: Replica, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(side: Side, one: str, value: bytes) -> ItemRecord:
        if one == "bad":
            raise ZeroDivisionError("nobody foresaw it")
        return read_item(side, one, value)

    monkeypatch.setattr(stored, "read_item", read)


@pytest.mark.parametrize("breaks", [breaks_apply, breaks_served, breaks_reading])
def test_a_record_that_fails_in_whatever_way_is_set_aside_and_holds_up_no_other(
    make: Make,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    breaks: Callable[[Replica, pytest.MonkeyPatch], None],
) -> None:
    async def test() -> None:
        writer, a = make(), make()
        breaks(a, monkeypatch)
        async with running(writer, a):
            assert await a.follower.loaded(5)
            assert await a.follower.wait_for(await writer.post(id="first"), 5)
            place = await writer.post(id="bad", topics=["art"])
            assert await a.follower.wait_for(await writer.post(id="last"), 5)
            assert ["bad" in a.generation, "last" in a.generation] == [False, True]
            assert a.intake.counts.poisoned == 1
            [told] = [vars(one) for one in caplog.records if "set aside" in one.message]
            assert (told["id"], told["at"]) == ("bad", place)
            assert told["reason"] == "ZeroDivisionError: nobody foresaw it"
            monkeypatch.undo()
            reconciler = Reconciler(a.generation, a.store, a.intake, a.follower)
            await reconciler.reconcile()
            assert a.seen("bad") == writer.seen("bad")

    with caplog.at_level(logging.WARNING, "service.intake"):
        run(test)


def test_a_store_that_is_away_sets_nothing_aside(
    tmp_path: Path, bundle_folder: Path, embedder: Embedder
) -> None:
    async def test() -> None:
        a = Replica(f"unix://{tmp_path}/redis.sock", bundle_folder, embedder)
        async with running(a):
            with pytest.raises(StoreUnavailable):
                await a.intake.refresh([("i1", 7)])
        assert a.intake.counts == Taken()

    run(test)
