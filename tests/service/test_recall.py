"""How a recall is answered: states, what is dropped, what wins, and what is degraded."""

import asyncio
import os
import re
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
import redis
from prometheus_client import REGISTRY

from export.embedder import Embedder
from service.generation import Generation
from service.index.view import View
from service.payloads import RecallBatchAnswer
from service.settings import Settings
from tests.service.conftest import start_redis
from tests.service.running import Service, patient
from tests.tiny import tiny_items, tiny_schema

ALL = {f"i{number}" for number in range(40)}


@pytest.fixture
def service(redis_url: str, generation: Generation) -> Iterator[Service]:
    with Service(patient(redis_url), generation) as running:
        yield running


def topics_of(number: int) -> list[str]:
    record = tiny_items(tiny_schema(), 40).records[number]
    topics = record["topics"]
    assert isinstance(topics, list)
    return topics


def put(service: Service, one: str, **features: object) -> None:
    assert service.ask("PUT", f"/users/{one}", json=features).status_code in (200, 201)


def recall(service: Service, **body: object) -> dict[str, Any]:
    answer = service.post("/recall", {"k": 10, **body})
    assert answer.status_code == 200, answer.text
    answered: dict[str, Any] = answer.json()
    return answered


def found(answer: dict[str, Any]) -> tuple[list[str], list[float]]:
    return answer["items"], answer["scores"]


def test_stored_preference_makes_a_warm_answer(service: Service) -> None:
    put(service, "u", taste={"music": 1.0})
    answer = service.get("/recall?user_id=u&k=3&context.tab=1").json()
    assert (answer["state"], answer["dropped"], answer["score"]) == ("warm", [], "cosine")
    about_music = [f"i{n}" for n in range(40) if "music" in topics_of(n)]
    assert set(answer["items"]) <= set(about_music)


def test_cold_answers_as_if_no_preference_were_stored(service: Service) -> None:
    put(service, "warm", country="de", age=30, taste={"music": 1.0}, recent=["i3"])
    put(service, "cold", country="de", age=30)
    ignored = service.get("/recall?user_id=warm&cold=true&context.tab=1").json()
    assert (ignored["state"], ignored["dropped"]) == ("cold", ["preference"])
    cold = service.get("/recall?user_id=cold&context.tab=1").json()
    assert (cold["state"], cold["dropped"]) == ("cold", ["preference"])
    assert found(ignored) == found(cold)
    assert found(ignored) != found(service.get("/recall?user_id=warm&context.tab=1").json())


def test_nothing_known_gives_popular_items_best_first(service: Service) -> None:
    answer = service.get("/recall?user_id=stranger&k=9&context.tab=1").json()
    assert (answer["state"], answer["score"]) == ("fallback", "popularity")
    assert answer["dropped"] == ["content", "preference"]
    assert answer["items"] == [f"i{number}" for number in range(9)]
    assert all(0 <= score <= 1 for score in answer["scores"])


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/recall", {"user": {"taste": {"music": 1.0}}, "k": 40}),
        ("/recall", {"user_id": "stranger", "k": 40}),
        ("/recall/batch", {"requests": [{"user": {"country": "de"}, "k": 40}]}),
        ("/items/i3/similar?k=39", None),
        ("/embed", {"users": [{"country": "de"}]}),
    ],
    ids=["nearest", "popular", "batch", "similar", "vectors"],
)
def test_numbers_have_the_shortest_digits_that_read_back_as_float32(
    service: Service, path: str, body: object
) -> None:
    answer = service.get(path) if body is None else service.post(path, body)
    assert answer.status_code == 200, answer.text
    (listed,) = re.findall(r'"(?:scores|vector)":\[(.*?)\]', answer.text)
    told = listed.split(",")
    assert len(told) >= 8
    for text in told:
        assert float(text) == float(np.format_float_scientific(np.float32(text), unique=True))


def test_preference_alone_that_is_ignored_by_cold_is_a_fallback(service: Service) -> None:
    put(service, "u", taste={"music": 1.0})
    assert service.get("/recall?user_id=u&cold=1").json()["state"] == "fallback"


def test_a_fresh_item_has_a_place_among_the_popular(service: Service) -> None:
    log_id = service.post("/items", {"id": "fresh", "topics": ["art"]}).json()["log_id"]
    answer = service.get(f"/recall?user_id=stranger&k=20&after={log_id}").json()
    assert "fresh" in answer["items"]


@pytest.mark.parametrize(
    ("user", "dropped"),
    [
        ({"taste": {"art": 1}}, ["context.tab"]),
        ({"age": 20}, ["preference", "context.tab"]),
        ({}, ["content", "preference", "context.tab"]),
    ],
)
def test_a_missing_context_feature_is_named(
    service: Service, user: dict[str, object], dropped: list[str]
) -> None:
    assert recall(service, user=user)["dropped"] == dropped
    assert recall(service, user=user, context={"tab": None})["dropped"] == dropped
    assert recall(service, user=user, context={"tab": 1})["dropped"] == dropped[:-1]


def test_context_changes_the_answer_and_is_the_same_by_query_and_body(service: Service) -> None:
    put(service, "u", taste={"music": 1.0})
    with_tab = service.get("/recall?user_id=u&k=10&context.tab=2").json()
    assert found(with_tab) == found(recall(service, user_id="u", context={"tab": "2"}))
    assert found(with_tab) != found(recall(service, user_id="u"))


def test_inline_features_win_over_stored_ones(service: Service) -> None:
    put(service, "u", country="de", taste={"music": 1.0})
    inline = recall(service, user_id="u", user={"taste": {"art": 1.0}})
    assert found(inline) == found(recall(service, user={"country": "de", "taste": {"art": 1.0}}))
    unknown = recall(service, user_id="u", user={"country": None})
    assert found(unknown) == found(recall(service, user={"taste": {"music": 1.0}}))


@pytest.mark.parametrize("given", [{"preference": None}, {"taste": None, "recent": None}])
def test_null_makes_stored_preference_unknown(service: Service, given: dict[str, object]) -> None:
    put(service, "u", country="de", taste={"music": 1.0}, recent=["i1"])
    answer = recall(service, user_id="u", user=given)
    assert answer["state"] == "cold"
    assert found(answer) == found(recall(service, user={"country": "de"}))


def test_a_history_is_folded_into_the_features_made_of_it(service: Service) -> None:
    # i0 is about art, i1 about cars and food: two events, three words.
    by_history = recall(service, history=["i0", "i1"])
    assert by_history["state"] == "warm"
    told = {"recent": ["i0", "i1"], "taste": {"art": 1, "cars": 1, "food": 1}}
    assert found(by_history) == found(recall(service, user=told))


def test_a_history_counts_as_much_as_it_repeats_and_its_order_counts(service: Service) -> None:
    taste = {"art": 2, "cars": 1, "food": 1}
    by_history = recall(service, history=["i0", "i1", "i0"])
    told = {"recent": ["i0", "i1", "i0"], "taste": taste}
    assert found(by_history) == found(recall(service, user=told))


def test_a_history_replaces_what_is_stored_and_inline_wins_over_both(service: Service) -> None:
    put(service, "u", country="de", taste={"music": 5.0}, recent=["i9"])
    replaced = recall(service, user_id="u", history=["i0"])
    told = {"country": "de", "recent": ["i0"], "taste": {"art": 1}}
    assert found(replaced) == found(recall(service, user=told))
    inline = recall(service, user_id="u", history=["i0"], user={"taste": {"food": 1}})
    assert found(inline) == found(recall(service, user=told | {"taste": {"food": 1}}))


@pytest.mark.parametrize("history", [[], ["nobody-knows"]])
def test_a_history_without_a_known_item_is_no_preference(
    service: Service, history: list[str]
) -> None:
    put(service, "u", country="de", taste={"music": 5.0})
    answer = recall(service, user_id="u", history=history)
    assert (answer["state"], answer["dropped"][0]) == ("cold", "preference")


def test_unknown_ids_in_a_history_are_left_out_and_counted(service: Service) -> None:
    name = "firstsight_history_unknown_total"
    before = REGISTRY.get_sample_value(name) or 0.0
    answer = recall(service, history=["gone", "i0", "\x00", "i1"])
    assert found(answer) == found(recall(service, history=["i0", "i1"]))
    assert REGISTRY.get_sample_value(name) == before + 2


def test_a_posted_item_counts_in_a_history(service: Service) -> None:
    log_id = service.post("/items", {"id": "new", "topics": ["travel"]}).json()["log_id"]
    answer = recall(service, history=["new"], after=log_id)
    told = {"recent": ["new"], "taste": {"travel": 1}}
    assert found(answer) == found(recall(service, user=told))


@pytest.mark.parametrize("user", [{"taste": {"art": 1}}, {}])
def test_an_excluded_item_is_never_given(service: Service, user: dict[str, object]) -> None:
    first = recall(service, user=user, k=5)["items"]
    rest = recall(service, user=user, k=40, exclude=[*first, "unheard of", "a\x00b", ""])
    assert set(rest["items"]) == ALL - set(first)
    assert rest["exhausted"] is True
    none = recall(service, user=user, exclude=sorted(ALL))
    assert (none["items"], none["scores"], none["exhausted"]) == ([], [], True)


def test_fewer_than_k_come_back_only_when_there_are_no_more(service: Service) -> None:
    exact = recall(service, user={"taste": {"art": 1}}, k=40)
    assert (len(exact["items"]), exact["exhausted"]) == (40, False)
    more = recall(service, user={"taste": {"art": 1}}, k=41)
    assert (len(more["items"]), more["exhausted"]) == (40, True)


def test_scores_can_be_reproduced_from_the_bundle(
    service: Service, generation: Generation, embedder: Embedder
) -> None:
    user = {"country": "at", "taste": {"food": 2.0}}
    answer = recall(service, user=user, context={"tab": "2"}, k=40)
    vector = embedder.embed("user", [generation.schema.user.parse({**user, "tab": "2"})])[0]
    scores = generation.bundle.vectors @ vector
    by_id = {f"i{row}": float(score) for row, score in enumerate(scores)}
    expected = [by_id[one] for one in answer["items"]]
    assert np.allclose(answer["scores"], expected, atol=1e-6)
    assert answer["scores"] == sorted(answer["scores"], reverse=True)
    assert answer["version"] == generation.version


def test_an_answer_does_not_depend_on_its_company(service: Service) -> None:
    put(service, "a", taste={"art": 1.0})
    put(service, "b", country="fr")
    asked = [
        {"user_id": "a", "k": 3},
        {"user_id": "b", "k": 40, "exclude": ["i1"]},
        {"user_id": "nobody", "k": 7},
        {"history": ["i5"], "k": 1},
        {"user_id": "a", "cold": True},
    ] * 8

    async def together() -> list[dict[str, Any]]:
        calls = [service.client.post("/recall", json=body) for body in asked]
        return [answer.json() for answer in await asyncio.gather(*calls)]

    for body, answer in zip(asked, service.do(together()), strict=True):
        alone = service.post("/recall", body).json()
        assert answer["items"] == alone["items"]
        assert np.allclose(answer["scores"], alone["scores"], atol=1e-6)
        assert (answer["state"], answer["user_id"]) == (alone["state"], body.get("user_id"))


def test_concurrent_recalls_share_their_store_reads(
    service: Service, redis_client: redis.Redis
) -> None:
    redis_client.config_resetstat()

    async def together() -> None:
        calls = [service.client.get(f"/recall?user_id=u{number}") for number in range(30)]
        await asyncio.gather(*calls)

    service.do(together())
    statistics: Any = redis_client.info("commandstats")
    assert statistics["cmdstat_mget"]["calls"] <= 4


def test_a_batch_answers_each_request_in_order_as_if_it_were_alone(service: Service) -> None:
    put(service, "a", taste={"art": 1.0})
    asked: list[Any] = [
        {"user_id": "a", "k": 3, "context": {"tab": "1"}},
        {"k": 0},
        {"history": ["i5"], "k": 40, "exclude": ["i1"]},
        {"user": {"age": 3e38, "taste": {"art": 9e29}}},
        17,
        {"user": {"age": "old"}, "kk": 1},
        {"user_id": ""},
        {"user_id": "nobody"},
        {"user_id": "a", "cold": True},
    ] * 4
    answer = service.post("/recall/batch", {"requests": asked})
    assert answer.status_code == 200
    results = answer.json()["results"]
    RecallBatchAnswer.model_validate_json(answer.content)
    for body, result in zip(asked, results, strict=True):
        alone = service.post("/recall", body)
        assert result["status"] == alone.status_code
        expected = alone.json()
        if result["status"] == 200:
            assert result["request_id"] == answer.headers["x-request-id"]
            assert np.allclose(result.pop("scores"), expected.pop("scores"), atol=1e-6)
            result["request_id"] = expected["request_id"]
        del expected["request_id"]
        result.pop("request_id", None)
        assert result == ({"status": 200} | expected)
    assert [result["status"] for result in results[:9]] == [200, 422, 200] + [422] * 4 + [200] * 2


def test_a_batch_shares_store_reads_and_waits_once_for_what_comes_after(
    service: Service, redis_client: redis.Redis
) -> None:
    redis_client.config_resetstat()
    asked = [{"user_id": f"u{n}", "after": f"99999999999999-{n}"} for n in range(256)]
    results = service.post("/recall/batch", {"requests": asked}).json()["results"]
    assert {tuple(result["degraded"]) for result in results} == {("stale",)}
    assert [result["user_id"] for result in results] == [f"u{n}" for n in range(256)]
    statistics: Any = redis_client.info("commandstats")
    assert statistics["cmdstat_mget"]["calls"] == 256 / service.settings.batch_recalls


def test_a_fault_of_ours_in_a_batch_is_logged_and_told_apart(
    service: Service, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert service.generation is not None
    popular = service.generation.popular

    def fails(k: int, excluded: Any) -> Any:
        if k == 13:
            raise RuntimeError("a secret of the machine")
        return popular(k, excluded)

    monkeypatch.setattr(service.generation, "popular", fails)
    answer = service.post("/recall/batch", {"requests": [{"k": 1}, {"k": 13}, {"k": 2}]})
    assert [result["status"] for result in answer.json()["results"]] == [200, 500, 200]
    assert "secret" not in answer.text
    assert "a secret of the machine" in caplog.text


def test_stored_values_that_the_schema_cannot_read_are_left_out_and_told(
    service: Service, redis_client: redis.Redis
) -> None:
    stored = {"id": "u", "content": {"country": "de", "age": "old"}, "preference": None}
    redis_client.set("fs:user:u", orjson.dumps(stored))
    answer = recall(service, user_id="u")
    assert (answer["state"], answer["degraded"]) == ("cold", ["features"])
    assert found(answer) == found(recall(service, user={"country": "de"}))


def test_stored_values_that_overflow_the_tower_count_as_unreadable(service: Service) -> None:
    put(service, "u", taste={"art": 9e29})
    answer = recall(service, user_id="u")
    assert (answer["state"], answer["degraded"]) == ("fallback", ["features"])
    assert answer["dropped"] == ["content", "preference", "context.tab"]


def test_after_waits_for_the_entry_and_says_when_it_did_not_come(service: Service) -> None:
    log_id = service.post("/items", {"id": "new"}).json()["log_id"]
    assert recall(service, after=log_id)["degraded"] == []
    assert recall(service, after="99999999999999-0")["degraded"] == ["stale"]


def test_a_store_that_hangs_costs_its_timeout_and_no_answer(
    generation: Generation, tmp_path: Path
) -> None:
    process, url = start_redis(tmp_path)
    try:
        with Service(Settings(redis=url), generation) as service:
            put(service, "u", taste={"art": 1.0})
            os.kill(process.pid, signal.SIGSTOP)
            hung = recall(service, user_id="u", user={"country": "de"})
            assert (hung["state"], hung["degraded"]) == ("cold", ["store"])
            os.kill(process.pid, signal.SIGCONT)
            answers = (recall(service, user_id="u") for _ in range(100))
            well = next(answer for answer in answers if answer["degraded"] == [])
            assert well["state"] == "warm"
    finally:
        process.kill()
        process.wait()


def test_searches_that_would_hold_up_the_event_loop_are_made_beside_it(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    places: list[bool] = []
    search = View.search

    def noted(view: View, *asked: Any) -> Any:
        places.append(threading.current_thread() is threading.main_thread())
        return search(view, *asked)

    monkeypatch.setattr(View, "search", noted)
    quick = recall(service, user={"country": "de"})
    monkeypatch.setattr("service.pace.SLICE_S", 0.0)
    slow = recall(service, user={"country": "de"})
    explained = recall(service, user={"country": "de"}, debug=True)
    assert found(slow) == found(quick) == found(explained)
    assert places[:2] == [True, False]
    assert all(places[2:])  # an answer that is explained is made in one go
