"""The benchmark of indexes: every rival is set to the recall it is compared at, and no further."""

from argparse import Namespace
from typing import Any

import numpy as np
import pytest

from benchmarks.index.__main__ import TARGETS, Exam, Setting, measure, over_best
from benchmarks.index.rivals import Labels, Rival, steps
from export.index.base import Vectors
from export.index.clustered import clustered_vectors, queries_near

VECTORS = clustered_vectors(1000, 16)
QUERIES = queries_near(VECTORS, 20, seed=5)


class Partly(Rival):
    """Finds a share of the nearest: the setting in hundredths."""

    settings = steps(1, 100)

    def build(self, vectors: Vectors) -> None:
        self._vectors = vectors

    def set(self, setting: int) -> None:
        self._share = setting / 100

    def search(self, query: Vectors, k: int) -> Labels:
        return np.argsort(-(query[0] @ self._vectors.T))[None, : round(k * self._share)]

    def write(self, path: object) -> None:
        raise AssertionError


@pytest.mark.parametrize("target", [0.01, 0.5, 0.97])
def test_the_least_setting_that_reaches_a_recall_is_chosen(target: float) -> None:
    rival = Partly()
    rival.build(VECTORS)
    setting, recall = Exam(VECTORS, QUERIES, 100).cheapest(rival, target) or (0, 0.0)
    assert setting == next(one for one in rival.settings if one / 100 >= target)
    assert recall == pytest.approx(setting / 100)


def test_a_recall_that_no_setting_reaches_has_none() -> None:
    rival = Partly()
    rival.settings = [10, 90]
    rival.build(VECTORS)
    assert Exam(VECTORS, QUERIES, 100).cheapest(rival, 0.95) is None


def test_a_run_tells_of_every_rival_at_every_recall_it_reaches() -> None:
    asked = {"items": 2100, "dim": 16, "spread": 0.6, "k": 10, "queries": 10, "rounds": 1}
    found: dict[str, Any] = measure(Namespace(**asked))
    for name, rival in found["rivals"].items():
        for target in TARGETS:
            if (at := rival["at"][str(target)]) is not None:
                assert at["recall"] >= target, name
        assert rival["at"]["0.95"] is not None or "8" in name
    assert found["rivals"]["hnsw"]["at"]["0.99"]["cpu_over_hnsw"] == 1
    sizes = {name: rival["bytes_a_vector"] for name, rival in found["rivals"].items()}
    assert sizes["compact"] < 0.25 * sizes["hnsw"]
    assert [one["target"] for one in found["ratios"]] == ["at most 1.05"] * len(TARGETS)
    own = {
        kind: told["memory_bytes_a_vector"]["index, own"]
        for kind, told in found["as tuned"].items()
    }
    assert own["compact"] < own["hnsw"]


def test_the_graph_is_held_against_the_best_of_the_others_by_ratios_within_a_round() -> None:
    names = ("hnsw", "usearch", "voyager")
    chosen = {(name, 0.95): (100, 0.95) for name in names}
    cpus = [
        (100.0, 200.0, 110.0),
        (240.0, 300.0, 200.0),
        (90.0, 10.0, 90.0),
    ]
    # usearch was lucky in the last round
    rounds: list[dict[Setting, tuple[float, float]]]
    rounds = [{(n, 0.95): (c, 0.0) for n, c in zip(names, one, strict=True)} for one in cpus]
    found = over_best(0.95, chosen, rounds)
    assert "voyager" in str(found["ratio"])
    assert (found["median"], found["least"], found["most"]) == (1.0, 0.909, 1.2)
    assert found["is"] == "met"
