"""The judge finds what it is there to find: each sort of contradiction, planted in true answers."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.rollout.bundles import as_version, item_id, make_bundles, tower, user_id
from benchmarks.rollout.judge import SLACK_S, Judge, Verdict
from benchmarks.rollout.notes import Notes
from benchmarks.rollout.records import cluster_words, has_preference, make_schema, record
from export.contract.bundle import read_bundle
from export.embedder import Embedder
from tests.once import once

ITEMS, DIM, K = 300, 16, 10
CLUSTERS = len(cluster_words(ITEMS))
WARM = next(user_id(n) for n in range(100) if has_preference(user_id(n)))


@pytest.fixture(scope="session")
def bases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    def make(folder: Path) -> None:
        make_bundles(folder, ITEMS, DIM, 2)

    return once(tmp_path_factory, "rollout-bases", make)


class World:
    """True answers of one version, and notes of the writes that came between them."""

    def __init__(self, bases: Path, folder: Path) -> None:
        self.bundle = read_bundle(bases / "base-1")
        self.embedder = Embedder.open(self.bundle.layout, self.bundle.schema)
        self.bases = {"v1": bases / "base-1", "v2": bases / "base-2"}
        self.file = folder / "notes.jsonl"
        self.noted: list[dict[str, Any]] = []

    def vector(self, one: str, edition: int = 0) -> Any:
        told = self.bundle.schema.item.parse(record(one, edition, CLUSTERS))
        return self.embedder.embed("item", [told])[0]

    def recall(self, sent: float, after: str | None = None, **items: int | None) -> dict[str, Any]:
        """Note a recall with the items of the bundle, less some (None), others as an edition."""
        states: dict[str, int | None] = {**dict.fromkeys(self.bundle.ids, 0), **items}
        served = {one: edition for one, edition in states.items() if edition is not None}
        user = self.vector(WARM)
        scores = {one: float(self.vector(one, of) @ user) for one, of in served.items()}
        best = sorted(scores, key=lambda one: -scores[one])[:K]
        answer: dict[str, Any] = {"state": "warm", "degraded": [], "items": best}
        answer["scores"] = [round(scores[one], 6) for one in best]
        noted = {"is": "recall", "status": 200, "version": "v1", "user": WARM, "after": after}
        self.noted.append(noted | {"sent": sent, "came": sent + 0.1, "answer": answer})
        return self.noted[-1]

    def write(self, one: str, edition: int | None, came: float, log_id: str | None) -> None:
        noted = {"is": "write", "id": one, "edition": edition, "status": 200, "log_id": log_id}
        self.noted.append(noted | {"sent": came - 0.1, "came": came})

    def judged(self) -> Verdict:
        lines = [json.dumps(one) + "\n" for one in self.noted]
        self.file.write_text("".join(lines))
        return Judge(Notes.read(self.file), self.bases, K).run()


@pytest.fixture
def world(bases: Path, tmp_path: Path) -> World:
    return World(bases, tmp_path)


def nearest(world: World) -> str:
    """Return the item that stands first in the answer of the bundle alone."""
    first: str = world.recall(0.0)["answer"]["items"][0]
    world.noted.clear()
    return first


def test_true_answers_are_not_contradicted(world: World) -> None:
    best = nearest(world)
    world.recall(1.0)
    world.write(best, 1, 2.0, "20-0")
    world.recall(3.0, after="20-0", **{best: 1})
    world.write(best, None, 4.0, "40-0")
    world.recall(5.0, **{best: None})
    verdict = world.judged()
    assert verdict.contradictions == {}
    assert (verdict.answers, verdict.scores, verdict.late) == (3, 3 * K, 0)


def test_a_score_that_the_version_does_not_give_is_found(world: World) -> None:
    world.recall(1.0)["answer"]["scores"][0] += 2e-4
    verdict = world.judged()
    assert verdict.contradictions == {"score": 1}
    assert "in v1" in verdict.shown[0]


def test_an_answer_of_other_towers_than_it_names_is_found(world: World) -> None:
    world.recall(1.0)["version"] = "v2"
    assert world.judged().contradictions["score"] > K / 2
    world.noted[0]["version"] = "v3"
    assert world.judged().contradictions == {"unknown version": 1}


@pytest.mark.parametrize(
    ("later_s", "found"), [(SLACK_S - 1, {}), (SLACK_S + 1, {"superseded": 1})]
)
def test_what_was_removed_may_be_served_for_a_moment_and_not_longer(
    world: World, later_s: float, found: dict[str, int]
) -> None:
    world.write(nearest(world), None, 10.0, "100-0")
    world.recall(10.0 + later_s)
    verdict = world.judged()
    assert verdict.contradictions == found
    assert verdict.late == (0 if found else 1)
    assert verdict.longest_late_s == pytest.approx(0 if found else later_s)


def test_what_was_removed_is_not_served_to_who_waited_for_it_unless_it_says_stale(
    world: World,
) -> None:
    world.write(nearest(world), None, 10.0, "100-0")
    answer = world.recall(10.5, after="100-0")["answer"]
    assert world.judged().contradictions == {"superseded": 1}
    answer["degraded"] = ["stale"]
    assert world.judged().contradictions == {}


def test_a_write_that_was_not_acknowledged_may_have_been_made_or_not(world: World) -> None:
    best = nearest(world)
    world.write(best, None, 10.0, None)
    world.recall(30.0)
    world.recall(30.0, **{best: None})
    assert world.judged().contradictions == {}


def test_an_item_that_was_not_posted_yet_is_found(world: World) -> None:
    world.recall(1.0)["answer"]["items"][0] = "new-0-0"
    assert world.judged().contradictions == {"unknown item": 1}


def test_items_that_are_missing_or_out_of_order_are_found(world: World) -> None:
    answer = world.recall(1.0)["answer"]
    for name in ("items", "scores"):
        answer[name] = answer[name][-2::-1]
    assert world.judged().contradictions == {"count": 1, "order": 1}


def test_a_user_without_a_preference_is_not_answered_as_warm(world: World) -> None:
    world.recall(1.0)["answer"]["state"] = "cold"
    assert world.judged().contradictions == {"state": 1}


def test_versions_have_towers_of_their_own() -> None:
    schema = make_schema(cluster_words(ITEMS), DIM)
    assert tower(schema, 1).SerializeToString() != tower(schema, 2).SerializeToString()


def test_a_bundle_under_another_name_is_the_same(bases: Path, tmp_path: Path) -> None:
    named = read_bundle(as_version(bases / "base-1", tmp_path / "other"))
    assert (named.version, named.ids[1]) == ("other", item_id(1))
    assert np.array_equal(named.vectors, read_bundle(bases / "base-1").vectors)
    assert math.isclose(float(np.linalg.norm(named.vectors[0])), 1.0, rel_tol=1e-5)
