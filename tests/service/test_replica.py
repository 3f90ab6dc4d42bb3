"""A replica under random operations equals an oracle of dicts and numpy.

A few hundred operations by default; `OPERATIONS=10000` in the environment makes so many.
"""

import os
from contextlib import ExitStack
from pathlib import Path
from typing import Any, ClassVar

import httpx
import numpy as np
import pytest
import redis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    rule,
    run_state_machine_as_test,
)

from export.embedder import Embedder
from service.generation import Generation
from tests.service.made import grow
from tests.service.oracle import Features, Oracle, known, state_of
from tests.service.running import Service, patient
from tests.tiny import TOPICS

OPERATIONS = int(os.environ.get("OPERATIONS", "400"))
STEPS = 50
"""Operations between two empty stores."""
CLOSE = 2e-6
"""A vector of a batch differs from that of one record in the last bits."""

items = st.sampled_from([*(f"i{n}" for n in range(6)), *(f"x{n}" for n in range(7)), "é/%,🎬"])
strangers = st.sampled_from(["nobody", "", "i", "i00"])
users = st.sampled_from(["u1", "u2", "u/3"])
topics = st.none() | st.lists(st.sampled_from([*TOPICS, "unheard of"]), unique=True, max_size=3)
counts = st.none() | st.integers(0, 30)
item_features = st.fixed_dictionaries(
    {}, optional={"topics": topics, "length": counts, "clicks": counts, "preference": st.none()}
)
user_features = st.fixed_dictionaries(
    {},
    optional={
        "country": st.none() | st.sampled_from(["at", "de", "nowhere"]),
        "age": counts,
        "recent": st.none() | st.lists(items, max_size=4),
        "taste": st.none()
        | st.dictionaries(st.sampled_from(TOPICS), st.integers(1, 5), max_size=3),
        "preference": st.none(),
    },
)
bad = st.sampled_from([{"length": "long"}, {"price": 3}, {"topics": "art"}, {"clicks": True}])
ks = st.integers(1, 3) | st.integers(4, 12) | st.just(60)
excluded = st.lists(items | strangers, max_size=6)
recalls = st.fixed_dictionaries(
    {"k": ks},
    optional={
        "user_id": users,
        "user": user_features,
        "history": st.lists(items | strangers, max_size=8),
        "exclude": excluded | st.just([f"i{n}" for n in range(40)]),
        "cold": st.booleans(),
        "context": st.sampled_from([{}, {"tab": "1"}, {"tab": "2"}, {"tab": None}]),
    },
)


class Replica(RuleBasedStateMachine):
    """Each rule asks the replica and the oracle for the same."""

    url: ClassVar[str]
    folder: ClassVar[Path]
    embedder: ClassVar[Embedder]
    operations: ClassVar[int] = 0

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.oracle = Oracle(self.embedder)

    @initialize()
    def begin(self) -> None:
        with redis.Redis.from_url(self.url) as client:
            client.flushall()
        self._start()

    def _start(self) -> None:
        generation = Generation.load(self.folder)
        self.service = self.stack.enter_context(Service(patient(self.url), generation))

    def teardown(self) -> None:
        self.stack.close()

    def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        type(self).operations += 1
        return self.service.ask(method, path, **options)

    @staticmethod
    def path(folder: str, one: str) -> str:
        return f"/{folder}/{httpx.URL('http://x', params={'x': one}).query.decode()[2:]}".replace(
            "+", "%20"
        )

    # Items

    @rule(one=items, features=item_features)
    def post(self, one: str, features: Features) -> None:
        self.check_posted(self.ask("POST", "/items", json={"id": one, **features}), one, features)

    @rule(batch=st.lists(st.tuples(items, item_features, st.none() | bad), max_size=5))
    def post_batch(self, batch: list[tuple[str, Features, Features | None]]) -> None:
        sent = [{"id": one, **features, **(fault or {})} for one, features, fault in batch]
        answer = self.ask("POST", "/items", json={"items": sent})
        assert answer.status_code == 200
        results = answer.json()["results"]
        assert len(results) == len(batch)
        for result, (one, features, fault) in zip(results, batch, strict=True):
            if fault is not None:
                assert result["status"] == 422
                assert list(fault) == [error["feature"] for error in result["errors"]]
                continue
            assert result["status"] == (200 if one in self.oracle.items else 201)
            self.oracle.post(one, features)
            self.check_item(result, one)

    @rule(one=items, features=item_features)
    def patch(self, one: str, features: Features) -> None:
        answer = self.ask("PATCH", self.path("items", one), json=features)
        if one not in self.oracle.items:
            assert answer.status_code == 404
            return
        assert answer.status_code == 200
        self.oracle.patch(one, features)
        self.check_item(answer.json(), one)

    @rule(one=items)
    def delete(self, one: str) -> None:
        assert self.ask("DELETE", self.path("items", one)).status_code == 204
        self.oracle.delete(one)

    @rule(one=items)
    def get(self, one: str) -> None:
        answer = self.ask("GET", self.path("items", one))
        if one not in self.oracle.items:
            assert answer.status_code == 404
            return
        assert answer.json()["record"] == {"id": one, **self.oracle.items[one]}
        self.check_item(answer.json(), one)

    def check_posted(self, answer: httpx.Response, one: str, features: Features) -> None:
        assert answer.status_code == (200 if one in self.oracle.items else 201), answer.text
        self.oracle.post(one, features)
        self.check_item(answer.json(), one)

    def check_item(self, told: Features, one: str) -> None:
        record = self.oracle.items[one]
        assert (told["id"], told["state"], told["dropped"]) == (one, *state_of("item", record))
        np.testing.assert_allclose(told["vector"], self.oracle.vector("item", record), atol=CLOSE)

    # Users

    @rule(one=users, features=user_features)
    def put_user(self, one: str, features: Features) -> None:
        answer = self.ask("PUT", self.path("users", one), json=features)
        assert answer.status_code == (200 if one in self.oracle.users else 201)
        self.oracle.put_user(one, features)
        self.check_user(answer, one)

    @rule(one=users, features=user_features)
    def patch_user(self, one: str, features: Features) -> None:
        answer = self.ask("PATCH", self.path("users", one), json=features)
        assert answer.status_code == (200 if one in self.oracle.users else 201)
        self.oracle.patch_user(one, features)
        self.check_user(answer, one)

    @rule(one=users)
    def delete_user(self, one: str) -> None:
        assert self.ask("DELETE", self.path("users", one)).status_code == 204
        self.oracle.users.pop(one, None)

    @rule(one=users)
    def get_user(self, one: str) -> None:
        answer = self.ask("GET", self.path("users", one))
        if one in self.oracle.users:
            self.check_user(answer, one)
        else:
            assert answer.status_code == 404

    def check_user(self, answer: httpx.Response, one: str) -> None:
        record, told = self.oracle.users[one], answer.json()
        assert told["record"] == {"id": one, **record}
        assert (told["state"], told["dropped"]) == state_of("user", record)

    # Recalls

    @rule(asked=recalls)
    def recall(self, asked: Features) -> None:
        answer = self.ask("POST", "/recall", json=asked)
        assert answer.status_code == 200, answer.text
        self.check_recall(answer.json(), asked)

    @rule(batch=st.lists(recalls | st.just({"k": 0}), max_size=5))
    def recall_batch(self, batch: list[Features]) -> None:
        answer = self.ask("POST", "/recall/batch", json={"requests": batch})
        assert answer.status_code == 200
        for result, asked in zip(answer.json()["results"], batch, strict=True):
            assert result["status"] == (200 if asked["k"] else 422)
            if asked["k"]:
                self.check_recall(result, asked)

    @rule(one=users, k=ks, cold=st.booleans(), exclude=excluded)
    def recall_by_query(self, one: str, k: int, cold: bool, exclude: list[str]) -> None:
        named = [other for other in exclude if other and "," not in other]
        asked = {"user_id": one, "k": k, "cold": cold, "exclude": named}
        query = {"user_id": one, "k": str(k), "cold": str(cold).lower(), "exclude": named}
        answer = self.ask("GET", "/recall", params=query)
        assert answer.status_code == 200, answer.text
        self.check_recall(answer.json(), asked)

    def check_recall(self, told: Features, asked: Features) -> None:
        record, state, dropped = self.oracle.user(asked)
        assert (told["state"], told["dropped"], told["degraded"]) == (state, dropped, [])
        gone = set(asked.get("exclude", []))
        if state != "fallback":
            scores = self.oracle.scores(self.oracle.vector("user", record), gone)
            self.check_found(told, scores, asked["k"])
            return
        expected = self.oracle.popular(asked["k"], gone)
        assert told["items"] == expected
        shares = [self.oracle.share.get(one, 0.0) for one in expected]
        np.testing.assert_allclose(told["scores"], shares, atol=1e-7)
        assert told["exhausted"] == (len(expected) < asked["k"])

    def check_found(self, told: Features, scores: dict[str, float], k: int) -> None:
        best = sorted(scores.values(), reverse=True)[:k]
        np.testing.assert_allclose(told["scores"], best, atol=CLOSE)
        # Scores tell the items: where two are equal at the cut, either is right.
        own = [scores[one] for one in told["items"]]
        np.testing.assert_allclose(own, told["scores"], atol=CLOSE)
        assert len(set(told["items"])) == len(told["items"])
        assert told["exhausted"] == (len(best) < k)

    @rule(one=items, k=ks, exclude=excluded)
    def similar(self, one: str, k: int, exclude: list[str]) -> None:
        named = [other for other in exclude if other and "," not in other]
        answer = self.ask(
            "GET", self.path("items", one) + "/similar", params={"k": str(k), "exclude": named}
        )
        if one not in self.oracle.items:
            assert answer.status_code == 404
            return
        told, record = answer.json(), self.oracle.items[one]
        assert (told["state"], told["dropped"]) == state_of("item", record)
        scores = self.oracle.scores(self.oracle.vector("item", record), {one, *named})
        self.check_found(told, scores, k)

    @rule(batch=st.lists(item_features, max_size=3))
    def embed(self, batch: list[Features]) -> None:
        told = self.ask("POST", "/embed", json={"items": batch}).json()["items"]
        for one, features in zip(told, batch, strict=True):
            record = known({n: v for n, v in features.items() if n != "preference"})
            assert (one["state"], one["dropped"]) == state_of("item", record)
            expected = self.oracle.vector("item", record)
            np.testing.assert_allclose(one["vector"], expected, atol=CLOSE)

    # The process

    @rule(grown=st.booleans())
    def restart(self, grown: bool) -> None:
        """Begin anew from Redis and the bundle; or, grown, with a main index of all there is."""
        type(self).operations += 1
        self.stack.close()
        self._start()
        if grown:
            assert self.service.generation is not None
            self.service.generation.compact(threads=1)

    @rule()
    def grow(self) -> None:
        """Take what was written into the recent index, where the service has not just begun to."""
        assert self.service.generation is not None
        grow(self.service.generation)


def test_a_replica_equals_a_dict_and_numpy(
    redis_url: str, bundle_folder: Path, embedder: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Replica, "url", redis_url, raising=False)
    monkeypatch.setattr(Replica, "folder", bundle_folder, raising=False)
    monkeypatch.setattr(Replica, "embedder", embedder, raising=False)
    monkeypatch.setattr(Replica, "operations", 0)
    monkeypatch.setattr("service.generation.GROW_AT", 3)
    runs = settings(
        max_examples=max(1, OPERATIONS // STEPS),
        stateful_step_count=STEPS,
        suppress_health_check=list(HealthCheck),
    )
    while Replica.operations < OPERATIONS:
        run_state_machine_as_test(Replica, settings=runs)
