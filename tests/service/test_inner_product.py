"""A bundle of an inner product is served as any other; what its lift cuts is counted."""

from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from service.generation import Generation
from tests.service.running import Service, patient
from tests.tiny import DIM, tiny_bundle

CLIPPED = "firstsight_items_clipped_total"


def generation(folder: Path, largest_norm: float) -> Generation:
    return Generation.load(tiny_bundle(folder, largest_norm=largest_norm))


def clipped() -> float:
    return REGISTRY.get_sample_value(CLIPPED) or 0.0


def test_scores_are_inner_products_over_the_lengths_in_the_same_order(
    redis_url: str, tmp_path: Path, bundle_folder: Path
) -> None:
    """Raw vectors of length 1 and M = 2: half of the cosine."""
    asked = {"user": {"taste": {"music": 1.0}}, "k": 40}
    with Service(patient(redis_url), Generation.load(bundle_folder)) as service:
        cosine = service.post("/recall", asked).json()
    with Service(patient(redis_url), generation(tmp_path, 2.0)) as service:
        answer = service.post("/recall", asked).json()
        fallback = service.post("/recall", {"k": 1}).json()
        version = service.get("/version").json()
    assert (answer["score"], fallback["score"]) == ("inner_product", "popularity")
    assert (version["similarity"], version["dim"]) == ("inner_product", DIM + 1)
    assert sorted(answer["items"]) == sorted(cosine["items"])
    assert answer["scores"] == pytest.approx([one / 2 for one in cosine["scores"]], abs=1e-6)


@pytest.mark.parametrize(("largest_norm", "counted"), [(2.0, 0), (0.9, 1)])
def test_a_posted_item_beyond_the_bound_is_cut_and_counted(
    redis_url: str, tmp_path: Path, largest_norm: float, counted: int
) -> None:
    before = clipped()
    with Service(patient(redis_url), generation(tmp_path, largest_norm)) as service:
        posted = service.post("/items", {"id": "new", "topics": ["travel"]})
        found = service.post("/recall", {"user": {"taste": {"travel": 1.0}}, "k": 41}).json()
    assert posted.status_code == 201
    assert len(posted.json()["vector"]) == DIM + 1
    assert (posted.json()["vector"][-1] == 0) == bool(counted)
    assert clipped() - before == counted
    assert "new" in found["items"]
