"""A catalogue that is empty, or emptied by removals, is answered with nothing, and exhausted."""

from pathlib import Path

import pytest

from service.generation import Generation
from tests.service.running import Service, patient
from tests.tiny import tiny_bundle

ASKED = [
    {"user": {"taste": {"art": 1.0}}},
    {"user": {"country": "de"}},
    {"user_id": "nobody"},
    {"user": {"country": "de"}, "exclude": ["i1", "i2"], "k": 1000},
]


def check_nothing(service: Service) -> None:
    for body in ASKED:
        answer = service.post("/recall", body)
        assert answer.status_code == 200, answer.text
        found = answer.json()
        assert (found["items"], found["scores"], found["exhausted"]) == ([], [], True)
    results = service.post("/recall/batch", {"requests": ASKED}).json()["results"]
    assert [(one["status"], one["items"]) for one in results] == [(200, [])] * len(ASKED)
    assert service.get("/readyz").status_code == 200


@pytest.mark.parametrize("items", [0, 3])
def test_where_nothing_is_left_nothing_is_recalled_until_something_is_posted(
    redis_url: str, tmp_path: Path, items: int
) -> None:
    generation = Generation.load(tiny_bundle(tmp_path, items=items))
    with Service(patient(redis_url), generation) as service:
        for number in range(items):
            assert service.ask("DELETE", f"/items/i{number}").status_code == 204
        check_nothing(service)
        assert service.post("/items", {"id": "new", "topics": ["art"]}).status_code == 201
        for body in ASKED:
            found = service.post("/recall", body).json()
            assert (found["items"], found["exhausted"]) == (["new"], True)
        alone = service.get("/items/new/similar").json()
        assert (alone["items"], alone["exhausted"]) == ([], True)
        assert service.ask("DELETE", "/items/new").status_code == 204
        check_nothing(service)
