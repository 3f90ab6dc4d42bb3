from typing import cast

import numpy as np
import pytest

from export.index import hnsw
from export.index import tune as tuning
from export.index.base import VectorError
from export.index.clustered import clustered_vectors, queries_near
from export.index.exact import ExactConfig, ExactIndex
from export.index.hnsw import HnswConfig, HnswIndex
from export.index.tune import EXACT_UP_TO, TUNED, Rung, TunedKind, denser, ef_for, recall_at_k, tune

VECTORS = clustered_vectors(6000, 64)


def hnsw_of(rung: Rung) -> HnswConfig:
    assert isinstance(rung.config, HnswConfig)
    return rung.config


def test_settings_found_reach_the_target_on_queries_not_tuned_on() -> None:
    tuned = tune(VECTORS)
    assert tuned.reached
    assert tuned.measured_recall == tuned.curve[-1].recall >= 0.99
    fresh = queries_near(VECTORS, 400, seed=99)
    _, truth = ExactConfig().build(VECTORS).search(fresh, 100)
    for index in (tuned.index, tuned.config.build(VECTORS)):
        assert recall_at_k(index.search(fresh, 100)[1], truth) >= 0.98


def test_ef_is_the_lowest_step_that_reaches_the_target() -> None:
    tuned = tune(VECTORS, k=10, target=0.995)
    *missed, last = tuned.curve
    assert missed
    assert all(rung.recall < 0.995 for rung in missed)
    assert last.config == tuned.config
    efs = [hnsw_of(rung).ef for rung in tuned.curve]
    assert efs[0] == 10
    assert efs == sorted(set(efs))


def test_one_thread_and_one_seed_tune_the_same_again() -> None:
    first, second = (tune(VECTORS[:3000], seed=5, threads=1) for _ in range(2))
    assert first.config == second.config
    curves = ([one.model_dump(exclude={"cpu_us"}) for one in by.curve] for by in (first, second))
    assert next(curves) == next(curves)


def test_queries_given_have_to_reach_the_target_too() -> None:
    far = clustered_vectors(50, 64, seed=77)
    tuned = tune(VECTORS, k=20, queries=far)
    alone = tune(VECTORS, k=20)
    assert all(rung.given is not None for rung in tuned.curve)
    assert all(rung.given is None for rung in alone.curve)
    assert tuned.measured_recall == min(tuned.curve[-1].near, tuned.curve[-1].given or 0)
    assert hnsw_of(tuned.curve[-1]).ef > hnsw_of(alone.curve[-1]).ef


def test_a_denser_graph_is_built_where_no_ef_reaches_the_target(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hnsw, "GRAPHS", ((2, 8), (16, 100), (48, 400)))
    tuned = tune(VECTORS, k=10)
    assert tuned.reached
    assert isinstance(tuned.config, HnswConfig)
    assert tuned.config.M == 16
    assert {hnsw_of(rung).M for rung in tuned.curve} == {2, 16}


@pytest.mark.parametrize(("chosen_on", "built"), [(3000, [16]), (10**6, [2, 16])])
def test_a_graph_that_misses_on_a_part_is_not_built_of_all(
    monkeypatch: pytest.MonkeyPatch, chosen_on: int, built: list[int]
) -> None:
    monkeypatch.setattr(hnsw, "GRAPHS", ((2, 8), (16, 100), (48, 400)))
    monkeypatch.setattr(tuning, "CHOSEN_ON", chosen_on)
    tuned = tune(VECTORS, k=10)
    assert tuned.reached
    assert len(tuned.index) == len(VECTORS) > 3000
    assert [*dict.fromkeys(hnsw_of(rung).M for rung in tuned.curve)] == built


@pytest.mark.parametrize("kind", TUNED)
def test_along_a_ladder_what_climbs_goes_up_and_all_else_stays(kind: TunedKind) -> None:
    member = TUNED[kind]
    ladders = [
        [rung.model_dump() for rung in ladder] for ladder in member.ladders(50_000, 100, seed=1)
    ]
    for ladder in ladders:
        heights = [rung.pop(member.climbed) for rung in ladder]
        assert heights == sorted(set(heights))
        assert all(rung == ladder[0] for rung in ladder)
    assert all(ladders[0][0] != ladder[0] for ladder in ladders[1:])


def test_a_graph_with_islands_gives_way_to_a_denser_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hnsw, "GRAPHS", ((8, 40), (48, 400)))
    rng = np.random.default_rng(0)
    equal = clustered_vectors(60, 16, spread=5)[rng.integers(0, 60, size=5000)]
    tuned = tune(equal, target=0.5, threads=1)
    assert [hnsw_of(rung).M for rung in tuned.curve] == [8, 48]


def test_a_target_out_of_reach_is_said_to_be_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hnsw, "GRAPHS", ((2, 8), (3, 8)))
    tuned = tune(VECTORS, k=10, target=1.0)
    assert not tuned.reached
    assert tuned.measured_recall < 1
    assert len(tuned.curve) == 2 * len(hnsw.LADDER)
    assert tuned.config == tuned.curve[-1].config


def test_what_a_search_costs_is_measured_of_each_setting() -> None:
    curves = [tune(VECTORS, k=10, target=0.999, kind=kind).curve for kind in TUNED]
    for first, *_, last in curves:
        assert 0 < first.cpu_us < last.cpu_us < 10_000


@pytest.mark.parametrize("count", [0, 1, EXACT_UP_TO])
def test_few_vectors_are_searched_exactly(count: int) -> None:
    tuned = tune(VECTORS[:count])
    assert isinstance(tuned.index, ExactIndex)
    assert (tuned.config, tuned.measured_recall, tuned.reached) == (ExactConfig(), 1.0, True)
    assert len(tuned.index) == count


def test_k_above_the_number_of_vectors_is_tuned_for_all_of_them() -> None:
    tuned = tune(VECTORS[:2500], k=9999, sample=20)
    assert tuned.reached
    assert tuned.index.search(VECTORS[:1], 9999)[0].shape == (1, 2500)


def test_recall_counts_what_is_found_and_any_of_those_that_tie_at_the_cut() -> None:
    truth = np.array([[0.9, 0.5, 0.5], [0.8, 0.7, 0.6]], np.float32)
    found = np.array([[0.9, 0.5, 0.5], [0.7, 0.6, 0.1]], np.float32)
    assert recall_at_k(found, truth) == pytest.approx(5 / 6)


@pytest.mark.parametrize(
    ("queries", "message"),
    [(VECTORS[:0], "got none"), (VECTORS[:3, :8], "expected \\[any number, 64\\]")],
)
def test_queries_that_cannot_be_used_are_refused(queries: np.ndarray, message: str) -> None:
    with pytest.raises(VectorError, match=message):
        tune(VECTORS, queries=queries)


def test_the_ef_of_a_graph_that_has_grown_is_raised_until_it_meets_the_target() -> None:
    config = HnswConfig(M=8, ef_construction=40, ef=10)
    index = cast(HnswIndex, config.build(VECTORS, threads=1))
    ef, recall = ef_for(index, VECTORS, k=10, target=0.99)
    assert ef > 10
    assert recall >= 0.99
    assert ef_for(index.with_ef(ef), VECTORS, k=10, target=0.99) == (ef, recall)
    missed, recall = ef_for(index.with_ef(10), VECTORS, k=10, target=1.1)
    assert (missed, recall < 1.1) == (160, True)


def test_a_graph_that_misses_has_a_denser_one_up_to_the_densest() -> None:
    config = HnswConfig(M=10, ef_construction=50, ef=77, seed=4)
    seen = []
    while (more := denser(config)) is not None:
        config = more
        seen.append((config.M, config.ef_construction))
    assert tuple(seen) == hnsw.GRAPHS
    assert (config.ef, config.seed) == (77, 4)
