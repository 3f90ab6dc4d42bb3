"""In a rollout two versions with two schemas share a store: neither loses what is the other's."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import orjson
import pytest
import redis

from export.contract.schema import Schema
from service.generation import Generation
from tests.service.kept import kept
from tests.service.running import Service, patient
from tests.tiny import tiny_bundle, tiny_schema

MAKER = {"kind": "category"}
LIKES = {"kind": "number", "aggregate": "count", "where": {"label": 1}, "mean": 2, "scale": 1}


def richer() -> Schema:
    """Return the tiny schema with a feature more in each group of items."""
    raw = tiny_schema().model_dump(mode="json", exclude_none=True)
    raw["item"]["content"]["maker"] = MAKER
    raw["item"]["preference"]["likes"] = LIKES
    raw["tables"]["item.maker"] = ["acme", "other"]
    return Schema.model_validate(raw)


Pair = tuple[Service, Service]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("schemas")
    return tiny_bundle(root, "old-1"), tiny_bundle(root, "new-1", schema=richer())


@pytest.fixture
def pair(redis_url: str, folders: tuple[Path, Path]) -> Iterator[Pair]:
    """A service of the old version and one of the new, which knows `maker` and `likes` too."""
    with ExitStack() as stack:
        old, new = (
            stack.enter_context(Service(patient(redis_url), Generation.load(folder)))
            for folder in folders
        )
        yield old, new


def seen(service: Service, one: str, written: dict[str, Any]) -> dict[str, Any]:
    """Return an item's record once the service has taken a write over."""
    asked = {"user": {"age": 1}, "k": 1, "after": written["log_id"]}
    assert service.post("/recall", asked).json()["degraded"] == []
    record: dict[str, Any] = service.get(f"/items/{one}").json()["record"]
    return record


FULL = {"id": "x", "topics": ["art"], "length": 3.0, "maker": "acme", "clicks": 2.0, "likes": 1.0}


def patched(service: Service, one: str, patch: dict[str, Any]) -> dict[str, Any]:
    answer = service.ask("PATCH", f"/items/{one}", json=patch)
    assert answer.status_code == 200, answer.text
    written: dict[str, Any] = answer.json()
    return written


@pytest.mark.parametrize(
    ("patch", "left"),
    [
        ({"length": 5}, FULL | {"length": 5.0}),
        ({"clicks": 9}, FULL | {"clicks": 9.0}),
        (
            {"topics": None, "clicks": None},
            {n: FULL[n] for n in FULL if n not in ("topics", "clicks")},
        ),
        ({"preference": None}, {n: FULL[n] for n in FULL if n not in ("likes", "clicks")}),
        ({}, FULL),
    ],
)
def test_a_patch_by_the_old_version_keeps_what_only_the_new_one_reads(
    pair: Pair, patch: dict[str, Any], left: dict[str, Any]
) -> None:
    old, new = pair
    posted = new.post("/items", FULL).json()
    known = {name: value for name, value in FULL.items() if name not in ("maker", "likes")}
    assert seen(old, "x", posted) == known
    assert seen(new, "x", patched(old, "x", patch)) == left
    again = patched(new, "x", {"maker": "other"})
    assert seen(new, "x", again) == left | {"maker": "other"}


def test_a_vector_of_the_new_version_still_hangs_on_what_only_it_reads(pair: Pair) -> None:
    old, new = pair
    new.post("/items", FULL)
    written = patched(old, "x", {"length": 3})
    seen(new, "x", written)
    vector = new.get("/items/x").json()["vector"]
    expected = new.post("/embed", {"items": [FULL]}).json()["items"][0]["vector"]
    assert vector == pytest.approx(expected, abs=1e-6)
    poorer = {name: FULL[name] for name in FULL if name != "maker"}
    other = new.post("/embed", {"items": [poorer]}).json()["items"][0]["vector"]
    assert vector != pytest.approx(other, abs=1e-3)


def test_a_post_by_the_old_version_replaces_content_and_keeps_preference(
    pair: Pair, redis_client: redis.Redis
) -> None:
    old, new = pair
    seen(old, "x", new.post("/items", FULL).json())
    written = old.post("/items", {"id": "x", "length": 8}).json()
    assert seen(new, "x", written) == {"id": "x", "length": 8.0, "clicks": 2.0, "likes": 1.0}
    stored = orjson.loads(kept(redis_client, "{fs}:item:x"))
    assert (stored["content"], stored["preference"]) == (
        {"length": 8.0},
        {"clicks": 2.0, "likes": 1.0},
    )


def test_an_unknown_feature_in_a_patch_is_refused_though_one_is_stored(pair: Pair) -> None:
    old, new = pair
    seen(old, "x", new.post("/items", FULL).json())
    refused = old.ask("PATCH", "/items/x", json={"maker": "other", "length": 1})
    assert refused.status_code == 422
    assert [one["feature"] for one in refused.json()["errors"]] == ["maker"]
    assert seen(new, "x", patched(old, "x", {})) == FULL


def test_a_patch_of_a_user_keeps_it_too(pair: Pair, redis_client: redis.Redis) -> None:
    old, _ = pair
    redis_client.set("fs:user:u", b'{"id":"u","content":{"mood":1},"preference":{"loves":[2]}}')
    assert old.ask("PATCH", "/users/u", json={"age": 3}).status_code == 200
    stored = orjson.loads(kept(redis_client, "fs:user:u"))
    assert (stored["content"], stored["preference"]) == ({"mood": 1, "age": 3.0}, {"loves": [2]})


@pytest.fixture(scope="module")
def known_to_both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """Bundles in which every item has all features of their schemas, and one without any item."""
    root, beside = tmp_path_factory.mktemp("known"), {"maker": "acme", "likes": 1.0}
    old, new = (
        tiny_bundle(root, "old-1"),
        tiny_bundle(root, "new-1", schema=richer(), beside=beside),
    )
    return old, new, tiny_bundle(root, "few-1", items=2)


TRAINED = {"id": "i2", "topics": ["food"], "length": 12.0, "maker": "acme", "clicks": 2.0}
TRAINED |= {"likes": 1.0}
EMPTIED = {name: TRAINED[name] for name in TRAINED if name != "likes"} | {"clicks": 5.0}


@pytest.mark.parametrize(
    ("patches", "left"),
    [
        ([{"length": 5}], TRAINED | {"length": 5.0}),
        ([{"clicks": 5}], TRAINED | {"clicks": 5.0}),
        ([{"length": None}], {n: TRAINED[n] for n in TRAINED if n != "length"}),
        (
            [{"length": 5}, {"topics": None}, {"length": 6}, {"clicks": None}],
            {"id": "i2", "length": 6.0, "maker": "acme", "likes": 1.0},
        ),
        ([{"preference": None, "clicks": 5}], EMPTIED),
    ],
)
def test_what_only_the_new_bundle_says_of_an_item_outlives_patches_by_the_old_version(
    redis_url: str,
    known_to_both: tuple[Path, Path, Path],
    patches: list[dict[str, Any]],
    left: dict[str, Any],
) -> None:
    with ExitStack() as stack:
        old, new = (
            stack.enter_context(Service(patient(redis_url), Generation.load(folder)))
            for folder in known_to_both[:2]
        )
        for patch in patches:
            written = patched(old, "i2", patch)
        assert seen(new, "i2", written) == left
        vector = new.get("/items/i2").json()["vector"]
        expected = new.post("/embed", {"items": [left]}).json()["items"][0]["vector"]
        assert vector == pytest.approx(expected, abs=1e-6)
        again = seen(old, "i2", patched(new, "i2", {"maker": "other", "likes": 8}))
        assert again == {n: left[n] for n in left if n not in ("maker", "likes")}
        assert seen(new, "i2", patched(old, "i2", {"length": 7})) == left | {
            "maker": "other",
            "length": 7.0,
            "likes": 8.0,
        }
        posted = old.post("/items", {"id": "i2", "clicks": 3}).json()
        assert seen(new, "i2", posted) == {"id": "i2", "clicks": 3.0}


def test_what_was_patched_is_whole_where_a_bundle_does_not_know_the_item(
    redis_url: str, known_to_both: tuple[Path, Path, Path]
) -> None:
    old, _, few = known_to_both
    with Service(patient(redis_url), Generation.load(old)) as service:
        patched(service, "i2", {"length": 5})
        patched(service, "i2", {"clicks": 7, "topics": None})
    with Service(patient(redis_url), Generation.load(few)) as service:
        record = service.get("/items/i2").json()["record"]
        assert record == {"id": "i2", "length": 5.0, "clicks": 7.0}
        assert seen(service, "i2", patched(service, "i2", {"length": 6})) == record | {"length": 6}


def test_a_superseded_write_does_not_come_back_by_a_patch(
    redis_url: str, tmp_path: Path, known_to_both: tuple[Path, Path, Path]
) -> None:
    later = tiny_bundle(tmp_path, "later-1", log_id="99999999999999-0")
    with ExitStack() as stack:
        old, new = (
            stack.enter_context(Service(patient(redis_url), Generation.load(folder)))
            for folder in (later, known_to_both[1])
        )
        posted = new.post("/items", {"id": "i2", "clicks": 9, "likes": 77}).json()
        assert seen(old, "i2", posted)["clicks"] == 2.0
        assert seen(new, "i2", patched(old, "i2", {"clicks": 1})) == {
            "id": "i2",
            "clicks": 1.0,
            "likes": 1.0,
        }
