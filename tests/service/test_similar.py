"""Items near to an item, over the real application and a real Redis."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from service.generation import Generation
from service.payloads import SimilarAnswer
from tests.service.running import Service, patient

ALL = {f"i{number}" for number in range(40)}


@pytest.fixture
def service(redis_url: str, generation: Generation) -> Iterator[Service]:
    with Service(patient(redis_url), generation) as running:
        yield running


def near(service: Service, one: str, query: str = "") -> dict[str, Any]:
    answer = service.get(f"/items/{one}/similar?{query}")
    assert answer.status_code == 200, answer.text
    SimilarAnswer.model_validate_json(answer.content)
    body: dict[str, Any] = answer.json()
    return body


def test_the_nearest_items_come_best_first_without_the_item_itself(
    service: Service, generation: Generation
) -> None:
    answer = near(service, "i4", "k=39")
    vectors = generation.bundle.vectors
    scores = {f"i{row}": float(score) for row, score in enumerate(vectors @ vectors[4])}
    del scores["i4"]
    assert set(answer["items"]) == scores.keys()
    assert np.allclose(answer["scores"], [scores[one] for one in answer["items"]], atol=1e-6)
    assert answer["scores"] == sorted(answer["scores"], reverse=True)
    assert (answer["id"], answer["exhausted"], answer["degraded"]) == ("i4", False, [])
    assert (answer["score"], answer["version"]) == ("cosine", "tiny-1")


def test_what_is_known_of_the_item_is_told(service: Service) -> None:
    assert (near(service, "i4")["state"], near(service, "i4")["dropped"]) == ("warm", [])
    cold = near(service, "i5")
    assert (cold["state"], cold["dropped"]) == ("cold", ["preference"])


def test_a_posted_item_has_similar_items_and_is_one(service: Service) -> None:
    posted = service.post("/items", {"id": "new", "topics": ["music"]}).json()
    twin = service.post("/items", {"id": "twin", "topics": ["music"]}).json()
    answer = near(service, "new", f"k=1&after={twin['log_id']}")
    assert answer["items"] == ["twin"]
    assert answer["scores"] == pytest.approx([1.0], abs=1e-5)
    assert posted["vector"] == twin["vector"]


def test_removed_and_excluded_items_never_appear(service: Service) -> None:
    first = near(service, "i4", "k=4")["items"]
    service.ask("DELETE", f"/items/{first[0]}")
    rest = near(service, "i4", f"k=40&exclude={first[1]},{first[2]}&exclude=nobody")
    assert set(rest["items"]) == ALL - {"i4", *first[:3]}
    assert rest["exhausted"] is True


def test_an_unknown_or_removed_item_has_none(service: Service) -> None:
    assert service.get("/items/nobody/similar").status_code == 404
    service.ask("DELETE", "/items/i4")
    answer = service.get("/items/i4/similar")
    assert (answer.status_code, answer.json()["type"]) == (404, "/docs#unknown-item")


def test_an_id_with_a_slash_is_no_other_call(service: Service) -> None:
    service.post("/items", {"id": "i4/similar"})
    assert service.get("/items/i4%2Fsimilar").json()["id"] == "i4/similar"
    assert near(service, "i4%2Fsimilar", "k=3")["id"] == "i4/similar"


def test_an_entry_that_does_not_come_in_time_is_told(service: Service) -> None:
    assert near(service, "i4", "after=99999999999999-0")["degraded"] == ["stale"]


def test_similar_items_need_no_store(generation: Generation, tmp_path: object) -> None:
    with Service(patient(f"unix://{tmp_path}/none.sock"), generation) as service:
        assert len(near(service, "i4", "k=5")["items"]) == 5
