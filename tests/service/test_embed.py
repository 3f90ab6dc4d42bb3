"""Records to vectors, over the real application and a real Redis."""

import asyncio
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import redis

from export.embedder import Embedder
from service.embed import SLICE, Embed, slices
from service.generation import Generation
from service.payloads import EmbedAnswer
from tests.service.running import Service, patient
from tests.tiny import tiny_schema


@pytest.fixture
def service(redis_url: str, generation: Generation) -> Iterator[Service]:
    with Service(patient(redis_url), generation) as running:
        yield running


def embed(service: Service, **body: object) -> dict[str, Any]:
    answer = service.post("/embed", body)
    assert answer.status_code == 200, answer.text
    EmbedAnswer.model_validate_json(answer.content)
    told: dict[str, Any] = answer.json()
    return told


@pytest.mark.parametrize(
    ("user", "state", "dropped"),
    [
        ({"taste": {"art": 1}, "tab": "1"}, "warm", []),
        ({"taste": {"art": 1}}, "warm", ["context.tab"]),
        ({"age": 20, "preference": None, "tab": 2}, "cold", ["preference"]),
        ({"tab": "1"}, "fallback", ["content", "preference"]),
        ({}, "fallback", ["content", "preference", "context.tab"]),
    ],
)
def test_a_user_has_the_vector_and_the_state_that_a_recall_would_give(
    service: Service, embedder: Embedder, user: dict[str, Any], state: str, dropped: list[str]
) -> None:
    [told] = embed(service, users=[user])["users"]
    assert (told["status"], told["state"], told["dropped"]) == (200, state, dropped)
    features = {name: value for name, value in user.items() if name != "preference"}
    [expected] = embedder.embed("user", [tiny_schema().user.parse(features)])
    np.testing.assert_allclose(told["vector"], expected, atol=1e-6)
    context = {"context": {"tab": features.pop("tab")}} if "tab" in features else {}
    recalled = service.post("/recall", {"user": features, **context}).json()
    assert (recalled["state"], recalled["dropped"]) == (state, dropped)


def test_an_item_has_the_vector_that_a_post_would_give_and_is_not_stored(
    service: Service, redis_client: redis.Redis
) -> None:
    record = {"id": "new", "topics": ["food", "art"], "clicks": 3}
    told = embed(service, items=[record])
    assert redis_client.dbsize() == 0
    assert service.get("/items/new").status_code == 404
    assert "users" not in told
    [item] = told["items"]
    posted = service.post("/items", record).json()
    assert item["vector"] == posted["vector"]
    assert (item["id"], item["state"]) == ("new", posted["state"])
    assert told["version"] == posted["version"]


def test_a_bad_record_loses_no_good_one(service: Service, embedder: Embedder) -> None:
    records: list[Any] = [{"length": n} for n in range(200)]
    bad = {3: {"length": "x", "id": ""}, 70: 17, 199: {"tab": "1"}, 64: {"items": []}}
    for place, record in bad.items():
        records[place] = record
    told = embed(service, items=records, users=[{"age": "old"}, {"age": 3e38}, {"id": "u"}])
    assert {n for n, one in enumerate(told["items"]) if one["status"] == 422} == bad.keys()
    named = [error["feature"] for error in told["items"][3]["errors"]]
    assert named == ["id", "length"]
    assert told["items"][70]["errors"][0]["feature"] == "item"
    expected = embedder.embed("item", [{"length": float(n)} for n in range(200)])
    good = [n for n in range(200) if n not in bad]
    got = np.array([told["items"][n]["vector"] for n in good])
    np.testing.assert_allclose(got, expected[good], atol=1e-6)
    assert [one["status"] for one in told["users"]] == [422, 200, 200]
    assert told["users"][2]["id"] == "u"


def test_a_record_that_overflows_the_tower_takes_none_along(service: Service) -> None:
    huge = {"age": 3e38, "taste": {"art": 9e29}}
    told = embed(service, users=[{"age": 3}, huge, {"age": 4}])["users"]
    assert [one["status"] for one in told] == [200, 422, 200]
    assert told[1]["errors"][0]["feature"] == "user"


@pytest.mark.parametrize(
    "user",
    [
        {"history": ["i3", "i9", "nobody"]},
        {"history": ["i3"], "recent": ["i1"], "age": 30, "tab": "1"},
        {"history": [], "taste": {"art": 1}},
        {"history": ["i3"], "preference": None},
        {"history": ["i4"], "taste": None},
        {"history": None, "age": 3},
    ],
)
def test_a_history_counts_as_it_does_in_a_recall(service: Service, user: dict[str, Any]) -> None:
    [told] = embed(service, users=[user])["users"]
    features = {name: value for name, value in user.items() if name not in ("history", "tab")}
    asked = {"user": features, "history": user["history"], "k": 40}
    asked["context"] = {"tab": user["tab"]} if "tab" in user else {}
    recalled = service.post("/recall", asked).json()
    assert (told["state"], told["dropped"]) == (recalled["state"], recalled["dropped"])
    if told["state"] != "fallback":
        vectors = {f"i{n}": service.get(f"/items/i{n}").json()["vector"] for n in range(40)}
        scores = np.array([vectors[one] for one in recalled["items"]]) @ told["vector"]
        np.testing.assert_allclose(scores, recalled["scores"], atol=1e-5)
    bare = embed(service, users=[{**user, "history": None}])["users"][0]["vector"]
    reaches = bool(user["history"]) and "preference" not in user
    assert (np.abs(np.array(bare) - told["vector"]).max() > 1e-3) == reaches


@pytest.mark.parametrize("history", ["i1", {}, [1], ["i1", None], ["i1"] * 1001])
def test_a_history_that_is_none_is_refused_by_name(service: Service, history: object) -> None:
    told = embed(service, users=[{"history": history}, {"age": 3}])["users"]
    assert [one["status"] for one in told] == [422, 200]
    [fault] = told[0]["errors"]
    assert fault["feature"] == "history"
    assert fault["expected"] == "a list of at most 1000 ids"
    [recalled] = service.post("/recall", {"history": history}).json()["errors"]
    if recalled["feature"] == "history":
        assert recalled == fault


def test_an_item_has_no_history(service: Service) -> None:
    [told] = embed(service, items=[{"history": ["i1"]}])["items"]
    assert (told["status"], told["errors"][0]["feature"]) == (422, "history")


def heavy(ids: int) -> dict[str, Any]:
    return {"age": 3, "history": ["i1"] * ids}


@pytest.mark.parametrize(
    ("posted", "sizes"),
    [
        ([], []),
        ([{}] * (2 * SLICE + 1), [SLICE, SLICE, 1]),
        ([heavy(SLICE - 1)] * 3, [1, 1, 1]),
        ([heavy(1000), {}, {}, heavy(1000), {}], [1, 2, 1, 1]),
        ([{}, heavy(SLICE - 3), {}, {}], [3, 1]),
        ([{"history": "i1" * SLICE}, 17, {"history": None}], [3]),
    ],
)
def test_a_slice_is_cut_by_the_weight_of_its_histories(posted: list[Any], sizes: list[int]) -> None:
    parts = list(slices(posted))
    assert [len(part) for part in parts] == sizes
    assert [one for part in parts for one in part] == posted


def test_others_have_their_turn_between_slices(generation: Generation, embedder: Embedder) -> None:
    async def turns(posted: list[Any]) -> int:
        taken = 0

        async def other() -> None:
            nonlocal taken
            while True:
                await asyncio.sleep(0)
                taken += 1

        running = asyncio.create_task(other())
        await Embed(generation, embedder, 1000).embed("user", posted)
        running.cancel()
        return taken

    assert asyncio.run(turns([heavy(50)] * 9)) >= 8
    assert asyncio.run(turns([{"age": 3}] * 9)) <= 1
