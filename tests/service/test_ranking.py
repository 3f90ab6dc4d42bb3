"""Recalls that ask for the ranker: which chance an item is given, and what of it is current."""

import asyncio
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prometheus_client import REGISTRY

from service import ranking
from service.errors import MEDIA_TYPE
from service.generation import Generation
from service.payloads import RecallAnswer, RecallBatchAnswer
from tests.service.running import Service, patient
from tests.tiny import TOPICS, tiny_bundle
from tests.tiny_ranker import logit_of, tiny_ranker

Body = dict[str, Any]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bundle(tmp_path_factory.mktemp("ranked"), "ranked-1", ranker=tiny_ranker)


@pytest.fixture
def service(redis_url: str, folder: Path) -> Iterator[Service]:
    with Service(patient(redis_url), Generation.load(folder)) as running:
        yield running


@pytest.fixture
def without(redis_url: str, bundle_folder: Path) -> Iterator[Service]:
    """A service whose bundle has no ranker."""
    with Service(patient(redis_url), Generation.load(bundle_folder)) as running:
        yield running


def recall(service: Service, **body: object) -> Body:
    answer = service.post("/recall", {"k": 40, "rank": "din", **body})
    assert answer.status_code == 200, answer.text
    RecallAnswer.model_validate_json(answer.content)
    answered: Body = answer.json()
    return answered


def chances(answer: Body) -> dict[str, float]:
    return dict(zip(answer["items"], answer["rank_scores"], strict=True))


def topics_of(number: int) -> list[int]:
    return [number % 6] + ([(number + 1) % 6] if number % 2 else [])


def chance_of(number: int, met: list[list[int]], tab: int = 1) -> float:
    """Return what the tiny ranker says of an item of the bundle: even ones have clicks."""
    clicks = None if number % 2 else float(number)
    return sigmoid(logit_of(met, topics_of(number), clicks, tab))


def sigmoid(logit: float) -> float:
    return 1 / (1 + math.exp(-logit))


def test_what_is_recalled_is_ordered_by_the_ranker(service: Service) -> None:
    user = {"recent": ["i1", "i7"], "taste": {"music": 1.0}}
    plain = recall(service, user=user, k=20, rank=None)
    ranked = recall(service, user=user, k=20)
    assert set(ranked["items"]) == set(plain["items"])
    assert ranked["rank"] == "din"
    assert ranked["rank_scores"] == sorted(ranked["rank_scores"], reverse=True)
    before = dict(zip(plain["items"], plain["scores"], strict=True))
    assert dict(zip(ranked["items"], ranked["scores"], strict=True)) == before
    for one, chance in chances(ranked).items():
        assert chance == pytest.approx(chance_of(int(one[1:]), [[1, 2], [1, 2]]), abs=1e-5)
    assert ranked["items"] != plain["items"]
    assert (ranked["score"], ranked["state"]) == ("cosine", "warm")


def test_only_who_asks_is_told_of_ranks(service: Service) -> None:
    plain = recall(service, user={"age": 30}, rank=None)
    assert not {"rank", "rank_scores"} & plain.keys()


def test_query_body_and_batch_say_the_same(service: Service) -> None:
    stored = {"country": "de", "recent": ["i2", "i3"], "taste": {"food": 2.0}}
    assert service.ask("PUT", "/users/u", json=stored).status_code == 201
    by_query = service.get("/recall?user_id=u&k=12&context.tab=2&rank=din").json()
    body = {"user_id": "u", "k": 12, "context": {"tab": "2"}, "rank": "din"}
    by_body = service.post("/recall", body).json()
    several = {"requests": [body, {**body, "rank": None}, {**body, "user_id": "nobody"}, body]}
    answer = service.post("/recall/batch", several)
    RecallBatchAnswer.model_validate_json(answer.content)
    first, plain, stranger, last = answer.json()["results"]
    for other in (by_body, first, last):
        assert other["items"] == by_query["items"]
        for key in ("scores", "rank_scores"):
            assert other[key] == pytest.approx(by_query[key], abs=1e-6)
    assert "rank_scores" not in plain
    assert stranger["state"] == "fallback"
    assert len(stranger["rank_scores"]) == 12


def test_many_at_once_are_ranked_as_if_each_were_alone(service: Service) -> None:
    bodies = [
        {"user": {"recent": [f"i{n}", f"i{3 * n}"]}, "k": 5 + n, "rank": "din"} for n in range(12)
    ]
    alone = [service.post("/recall", body).json() for body in bodies]

    async def all_at_once() -> list[Body]:
        asked = (service.client.post("/recall", json=body) for body in bodies)
        return [answer.json() for answer in await asyncio.gather(*asked)]

    for one, other in zip(alone, service.do(all_at_once()), strict=True):
        assert one["items"] == other["items"]
        assert one["rank_scores"] == pytest.approx(other["rank_scores"], abs=1e-6)


def test_more_candidates_than_are_scored_at_once(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = {"recent": ["i4"]}
    whole = recall(service, user=user)
    monkeypatch.setattr(ranking, "CANDIDATES_AT_ONCE", 7)
    assert recall(service, user=user)["rank_scores"] == pytest.approx(whole["rank_scores"])
    assert recall(service, user=user)["items"] == whole["items"]


def test_a_just_posted_cold_item_is_ranked_by_its_content(service: Service) -> None:
    log_id = service.post("/items", {"id": "new", "topics": ["music"]}).json()["log_id"]
    found = chances(recall(service, user={"recent": ["i3", "i9"]}, after=log_id, k=41))
    assert found["new"] == pytest.approx(sigmoid(logit_of([[3, 4]], [3])), abs=1e-5)
    unlike = chances(recall(service, user={"recent": ["i0"]}, k=41))
    assert unlike["new"] < found["new"]


def test_a_written_item_is_ranked_as_it_is_now(service: Service) -> None:
    user = {"recent": ["i3"]}  # music, sport
    assert chances(recall(service, user=user))["i8"] == pytest.approx(
        chance_of(8, [[3, 4]]), abs=1e-5
    )
    patch = {"topics": ["music"], "clicks": 11.0}
    assert service.ask("PATCH", "/items/i8", json=patch).status_code == 200
    expected = sigmoid(logit_of([[3, 4]], [3], clicks=11))
    assert chances(recall(service, user=user))["i8"] == pytest.approx(expected, abs=1e-5)
    assert service.ask("PATCH", "/items/i8", json={"preference": None}).status_code == 200
    expected = sigmoid(logit_of([[3, 4]], [3]))
    assert chances(recall(service, user=user))["i8"] == pytest.approx(expected, abs=1e-5)


def test_a_code_is_made_once_until_its_item_is_written_again(service: Service) -> None:
    use_cases = service_ranking(service)
    service.post("/items", {"id": "new", "topics": ["music"]})
    first = use_cases.codes(["new"]).tolist()
    made: list[int] = []
    make = use_cases._make
    use_cases._make = lambda ids: made.append(len(ids)) or make(ids)  # type: ignore[method-assign,func-returns-value]
    assert use_cases.codes(["i1", "new"])[1].tolist() == first[0]
    assert made == []
    service.post("/items", {"id": "new", "topics": ["art"]})
    assert use_cases.codes(["new", "i1"])[0].tolist() != first[0]
    assert made == [1]


def service_ranking(service: Service) -> ranking.Ranking:
    assert service.parts.serving is not None
    found = service.parts.serving.current.recaller._ranking
    assert found is not None
    return found


def test_codes_that_are_kept_stay_within_bounds(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranking, "KEPT_MOST", 3)
    use_cases = service_ranking(service)
    names = [f"n{number}" for number in range(5)]
    items = [{"id": one, "topics": [topic]} for one, topic in zip(names, TOPICS, strict=False)]
    service.post("/items", {"items": items})
    for span in (names[:2], names[1:4], names):
        codes = use_cases.codes(span)
        assert np.argmax(codes[:, :6], axis=1).tolist() == [int(one[1:]) for one in span]


def test_a_history_may_hold_posted_items_and_unknown_ones(service: Service) -> None:
    log_id = service.post("/items", {"id": "new", "topics": ["sport"]}).json()["log_id"]
    body = {"history": ["nobody", "new", "i5"], "after": log_id}  # i5: travel, art
    found = chances(recall(service, **body))
    assert found["i16"] == pytest.approx(chance_of(16, [[4], [5, 0]]), abs=1e-5)
    service.ask("DELETE", "/items/new")
    found = chances(recall(service, history=["new", "i5"]))
    assert found["i16"] == pytest.approx(chance_of(16, [[5, 0]]), abs=1e-5)


def test_of_a_long_history_the_newest_count(service: Service) -> None:
    met = [f"i{n}" for n in (6, 12, 18, 1, 3, 5, 7, 9)]
    found = chances(recall(service, history=met))
    newest = [topics_of(n) for n in (1, 3, 5, 7, 9)]  # the bundle's ranker attends to five
    assert found["i21"] == pytest.approx(chance_of(21, newest), abs=1e-5)


@pytest.mark.parametrize(
    "body",
    [
        {"user": {"country": "de"}},
        {"user": {"recent": ["i3"], "country": "de"}, "cold": True},
        {"user": {"recent": None, "taste": {"music": 1.0}}},
        {"user_id": "stranger"},
        {},
    ],
    ids=["cold user", "as if cold", "warm without history", "unknown user", "nobody"],
)
def test_without_a_history_items_are_ranked_by_themselves(service: Service, body: Body) -> None:
    answer = recall(service, **body, k=15)
    assert len(answer["items"]) == 15
    for one, chance in chances(answer).items():
        assert chance == pytest.approx(chance_of(int(one[1:]), []), abs=1e-5)


def test_context_reaches_the_ranker(service: Service) -> None:
    found = chances(recall(service, user={"age": 20}, context={"tab": "2"}))
    assert found["i6"] == pytest.approx(chance_of(6, [], tab=4), abs=1e-5)


def test_fewer_than_asked_are_ranked_as_well(service: Service) -> None:
    gone = [f"i{n}" for n in range(38)]
    answer = recall(service, user={"recent": ["i3"]}, exclude=gone)
    assert (len(answer["items"]), answer["exhausted"]) == (2, True)
    assert len(answer["rank_scores"]) == 2
    nothing = recall(service, user={"recent": ["i3"]}, exclude=[f"i{n}" for n in range(40)])
    assert (nothing["items"], nothing["rank_scores"]) == ([], [])


@pytest.mark.parametrize(
    ("rank", "expected"),
    [("base", "'din'"), ("dinn", "a ranker: din or base"), ("", "a ranker: din or base")],
)
def test_another_ranker_is_refused_by_name(service: Service, rank: str, expected: str) -> None:
    asked = [
        service.get(f"/recall?user_id=u&rank={rank}"),
        service.post("/recall", {"user_id": "u", "rank": rank}),
    ]
    for answer in asked:
        assert answer.status_code == 422
        assert answer.headers["content-type"] == MEDIA_TYPE
        [fault] = answer.json()["errors"]
        assert fault == {"feature": "rank", "got": repr(rank), "expected": expected}


def test_a_bundle_without_a_ranker_says_so(without: Service) -> None:
    for answer in (
        without.get("/recall?user_id=u&rank=din"),
        without.post("/recall", {"rank": "din"}),
    ):
        assert answer.status_code == 422
        [fault] = answer.json()["errors"]
        expected = "none, the bundle that is served has no ranker"
        assert fault == {"feature": "rank", "got": "'din'", "expected": expected}
    several = {"requests": [{"user_id": "u", "rank": "din"}, {"user_id": "u"}]}
    bad, good = without.post("/recall/batch", several).json()["results"]
    assert (bad["status"], good["status"]) == (422, 200)


def test_the_version_tells_which_ranker_there_is(service: Service, without: Service) -> None:
    assert service.get("/version").json()["ranker"] == "din"
    assert without.get("/version").json()["ranker"] is None


def test_ranking_is_a_stage_that_is_timed(service: Service) -> None:
    def ranked() -> float:
        name = "firstsight_stage_seconds_count"
        return REGISTRY.get_sample_value(name, {"stage": "rank"}) or 0.0

    before = ranked()
    recall(service, user={"age": 3}, rank=None)
    assert ranked() == before
    recall(service, user={"age": 3})
    assert ranked() == before + 1
