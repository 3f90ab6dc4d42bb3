"""What a recall with `debug` tells, to whom, and that it is the answer that others get."""

import asyncio
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from export.embedder import Embedder
from service.errors import MEDIA_TYPE
from service.generation import Generation
from service.http.bodies import read_recall_body
from service.payloads import RecallAnswer, RecallBatchAnswer
from service.recall_request import check_recall
from service.settings import Settings
from tests.service.running import Service, patient
from tests.service.store.servers import eventually
from tests.tiny import TOPICS, tiny_bundle, tiny_schema
from tests.tiny_ranker import tiny_ranker

Body = dict[str, Any]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bundle(tmp_path_factory.mktemp("ranked"), "ranked-1", ranker=tiny_ranker)


@pytest.fixture
def service(redis_url: str, folder: Path) -> Iterator[Service]:
    with Service(patient(redis_url), Generation.load(folder)) as running:
        yield running


def explained(service: Service, **body: object) -> Body:
    answer = service.post("/recall", {"k": 5, "debug": True, **body})
    assert answer.status_code == 200, answer.text
    RecallAnswer.model_validate_json(answer.content)
    answered: Body = answer.json()
    return answered


ASKED: dict[str, Body] = {
    "warm": {"user": {"taste": {"art": 1.0}}, "context": {"tab": "1"}},
    "cold": {"user": {"country": "de", "age": 30.5}},
    "fallback": {},
    "history": {"history": ["i1", "nothing", "i7"], "user": {"age": None}},
    "forgotten": {"user": {"preference": None, "age": 20}, "history": ["i3"]},
    "excluded": {"user": {"taste": {"art": 1.0}}, "exclude": ["i0", "i5", "nothing"]},
    "ranked": {"user": {"recent": ["i1"], "taste": {"art": 1.0}}, "rank": "din"},
    "as if cold": {"user": {"taste": {"art": 1.0}, "age": 30}, "cold": True},
}


@pytest.mark.parametrize("name", ASKED)
def test_it_is_the_answer_that_is_given_without(service: Service, name: str) -> None:
    service.post("/items", {"id": "new", "topics": ["art"]})
    answer = explained(service, **ASKED[name])
    plain = service.post("/recall", {"k": 5, **ASKED[name]}).json()
    debug = answer.pop("debug")
    for member in answer.keys() - {"request_id", "scores", "rank_scores"}:
        assert answer[member] == plain[member]
    assert answer["scores"] == pytest.approx(plain["scores"], abs=1e-6)
    assert "debug" not in plain
    assert debug["path"]["state"] == plain["state"]


@pytest.mark.parametrize("name", ASKED)
def test_the_request_that_is_told_asks_the_same_again(service: Service, name: str) -> None:
    first = explained(service, **ASKED[name])
    again = explained(service, **first["debug"]["request"])
    for member in ("items", "scores", "state", "dropped", "debug"):
        assert again[member] == first[member]


def test_a_request_survives_its_body() -> None:
    side, settings = tiny_schema().user, Settings()
    for body in [*ASKED.values(), {"user_id": "é", "after": "1-0", "k": 7, "history": []}]:
        read = read_recall_body(body, settings.limits)
        request = check_recall(read, side, settings, ranker="din")
        body_again = read_recall_body(request.as_body(), settings.limits)
        assert check_recall(body_again, side, settings, ranker="din") == request


def test_query_body_and_batch_tell_the_same(service: Service) -> None:
    service.ask("PUT", "/users/u", json={"country": "de", "taste": {"food": 1.5}})
    body = {"user_id": "u", "k": 5, "context": {"tab": "2"}, "exclude": ["i2"], "debug": True}
    by_query = service.get("/recall?user_id=u&k=5&context.tab=2&exclude=i2&debug=true").json()
    by_body = explained(service, **body)
    batch = service.post(
        "/recall/batch", {"requests": [{**body, "debug": False}, body, {"k": 0, "debug": True}]}
    )
    RecallBatchAnswer.model_validate_json(batch.content)
    plain, in_batch, bad = batch.json()["results"]
    assert "debug" not in plain
    assert bad["status"] == 422
    assert by_query["debug"] == by_body["debug"] == in_batch["debug"]
    assert by_query["items"] == in_batch["items"] == plain["items"]


def test_it_tells_the_path_of_each_stage(service: Service) -> None:
    service.ask("PUT", "/users/u", json={"country": "de", "taste": {"food": 1.5}})
    told = explained(service, user_id="u", history=["i1", "x", "i1"], rank="din")["debug"]["path"]
    assert (told["store"], told["rank"], told["search"]) == ("read", "din", "nearest")
    assert told["history"] == {"ids": 3, "known": 2, "features": ["recent", "taste"]}
    told = explained(service, user_id="stranger")["debug"]["path"]
    assert (told["store"], told["search"], told["history"]) == ("nothing", "popular", None)
    assert explained(service)["debug"]["path"]["store"] == "not asked"


def test_it_tells_that_the_store_did_not_answer(
    own_redis: "tuple[subprocess.Popen[bytes], str]", folder: Path
) -> None:
    process, url = own_redis
    settings = patient(url).model_copy(update={"store_timeout_ms": 50})
    with Service(settings, Generation.load(folder)) as running:
        os.kill(process.pid, signal.SIGSTOP)
        try:
            answer = explained(running, user_id="u", user={"age": 31})
        finally:
            os.kill(process.pid, signal.SIGCONT)
    assert answer["degraded"] == ["store"]
    assert (answer["debug"]["path"]["store"], answer["debug"]["stored"]) == ("no answer", None)


def test_it_tells_what_the_tower_was_given_and_gave(service: Service, folder: Path) -> None:
    service.ask("PUT", "/users/u", json={"country": "de", "taste": {"food": 1.5}})
    debug = explained(service, user_id="u", user={"age": 31}, context={"tab": "1"})["debug"]
    assert debug["stored"]["content"] == {"country": "de"}
    assert debug["user"] == {
        "content": {"country": "de", "age": 31.0},
        "preference": {"taste": {"food": 1.5}},
        "context": {"tab": "1"},
        "present": True,
    }
    assert service.generation is not None
    embedder = Embedder.open(service.generation.bundle.layout, service.generation.schema)
    groups = ("content", "preference", "context")
    record = {name: value for group in groups for name, value in debug["user"][group].items()}
    [vector] = embedder.embed("user", [service.generation.schema.user.parse(record)], [True])
    assert np.array_equal(np.array(debug["vector"], np.float32), vector)
    cold = explained(service, user_id="u", cold=True)["debug"]
    assert (cold["user"]["preference"], cold["user"]["present"]) == ({}, False)


def test_candidates_are_those_before_exclusion(service: Service) -> None:
    user = {"taste": {"art": 1.0}}
    best = explained(service, user=user)["items"]
    answer = explained(service, user=user, exclude=[best[3], best[1], "nothing"])
    candidates = answer["debug"]["candidates"]
    assert candidates["items"][:5] == best
    assert len(candidates["items"]) == 5 + 3
    assert answer["debug"]["excluded"] == [
        {"id": best[1], "place": 1, "why": "exclude"},
        {"id": best[3], "place": 3, "why": "exclude"},
    ]
    left = [one for one in candidates["items"] if one not in (best[1], best[3])]
    assert answer["items"] == left[:5]
    of_each = dict(zip(candidates["items"], candidates["scores"], strict=True))
    assert answer["scores"] == [of_each[one] for one in answer["items"]]


def test_candidates_tell_where_they_are_from(service: Service) -> None:
    service.post("/items", {"id": "new", "topics": ["art"]})
    service.post("/items", {"id": "i0", "topics": ["art"]})
    near = explained(service, user={"taste": {"art": 1.0}}, k=40)["debug"]
    where = dict(zip(near["candidates"]["items"], near["candidates"]["parts"], strict=True))
    assert {one for one, part in where.items() if part == "delta"} == {"new", "i0"}
    assert set(where.values()) == {"main", "delta"}
    assert near["index"]["main"]["live"] == 39
    assert near["index"]["delta"]["items"] == ["new", "i0"]
    popular = explained(service, k=40)["debug"]["candidates"]
    where = dict(zip(popular["items"], popular["parts"], strict=True))
    assert {one for one, part in where.items() if part == "fresh"} == {"new"}


def test_it_tells_which_state_of_the_items_answered(service: Service) -> None:
    before = explained(service)["debug"]
    assert (before["changes"], before["highest_rev"]) == (0, 0)
    log_id = service.post("/items", {"id": "new", "topics": ["art"]}).json()["log_id"]
    eventually(lambda: explained(service)["debug"]["log_id"] == log_id)
    after = explained(service, after=log_id)["debug"]
    ready = service.get("/readyz").json()
    assert after["log_id"] == ready["log_id"] == log_id
    assert after["checksum"] == ready["checksum"] != before["checksum"]
    assert after["pointer"]["generation"] >= 1
    assert after["index"]["main"]["settings"] == {"kind": "exact"}
    assert after["path"]["exact"]


def test_only_an_administrator_may_ask(service: Service) -> None:
    page = {"origin": "http://a.page"}
    for answer in (
        service.get("/recall?user_id=u&debug=true", headers=page),
        service.post("/recall", {"debug": True}, headers=page),
    ):
        assert (answer.status_code, answer.headers["content-type"]) == (403, MEDIA_TYPE)
        assert answer.json()["type"] == "/docs#forbidden"
    assert service.get("/recall?user_id=u&debug=false", headers=page).status_code == 200
    asked = {"requests": [{"debug": True}, {}]}
    both = service.post("/recall/batch", asked, headers=page).json()
    assert [one["status"] for one in both["results"]] == [403, 200]


def test_one_that_fails_takes_no_other_of_its_batch_along(service: Service) -> None:
    huge = {"user": {"taste": dict.fromkeys(TOPICS, 3e38)}, "debug": True}
    asked = {"requests": [huge, {"k": 3}, {"k": 4, "debug": True}]}
    failed, plain, told = service.post("/recall/batch", asked).json()["results"]
    assert failed["status"] == 422
    assert (len(plain["items"]), len(told["items"])) == (3, 4)


def test_many_at_once_are_told_each_of_its_own(service: Service) -> None:
    async def all_at_once() -> list[Body]:
        bodies = [{"user": {"age": n}, "k": n + 1, "debug": n % 2 == 0} for n in range(8)]
        asked = (service.client.post("/recall", json=body) for body in bodies)
        return [answer.json() for answer in await asyncio.gather(*asked)]

    for n, answer in enumerate(service.do(all_at_once())):
        assert len(answer["items"]) == n + 1
        if n % 2 == 0:
            assert answer["debug"]["user"]["content"] == {"age": float(n)}
        else:
            assert "debug" not in answer
