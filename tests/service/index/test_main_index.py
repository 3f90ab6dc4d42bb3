import numpy as np
import pytest

from export.contract.bundle import IndexReport
from export.index.base import Vectors
from export.index.clustered import clustered_vectors, queries_near
from export.index.compact import CompactConfig, CompactIndex
from export.index.exact import ExactConfig
from export.index.hnsw import HnswConfig, HnswIndex
from export.index.tune import recall_at_k
from service.index.ids import Ids
from service.index.main_index import MainIndex, graph_settings

NONE = np.empty(0, np.int64)
CONFIG = HnswConfig(ef=150)
REPORT = IndexReport(settings=CONFIG.model_dump(), target_recall=0.99, measured_recall=0.99, k=100)
VECTORS = clustered_vectors(6000, 16)


def made(count: int, retired: range) -> MainIndex:
    ids = Ids([f"i{n}" for n in range(count)])
    main = MainIndex(ids, VECTORS[:count], CONFIG.build(VECTORS[:count]))
    for row in retired:
        main.retire(row, tick=1)
    return main


def recall(main: MainIndex, live: Vectors) -> float:
    queries = queries_near(live, 100, seed=9)
    _, truth = ExactConfig().build(live).search(queries, 100)
    found = main.search(queries, [100] * 100, [NONE] * 100, tick=2)
    return recall_at_k(np.stack([scores for _, scores in found]), truth)


@pytest.mark.parametrize("count", [2500, 5000])
def test_a_graph_takes_in_what_is_new_and_nothing_else(count: int, linked: list[int]) -> None:
    main = made(count, range(0, 300))
    linked.clear()
    new = [f"i{n}" for n in range(100)] + [f"x{n}" for n in range(900)]
    grown = main.with_more(new, VECTORS[count : count + 1000], REPORT, threads=1)
    assert sum(linked) == 1000
    assert (len(grown), grown.tombstones) == (count + 1000, 300)
    assert recall(grown, VECTORS[300 : count + 1000]) >= 0.985
    assert grown.ids.row("i7") == count + 7  # replaced: the row of its newest vector
    assert grown.ids.row("i200") is None  # removed
    assert grown.ids.row("x0") == count + 100
    assert grown.ids.row("i300") == 300


def test_an_index_of_few_is_not_worn_by_what_is_gone_of_it() -> None:
    assert not made(400, range(0, 200)).is_worn


def test_a_worn_index_makes_place_for_one_of_what_is_left(linked: list[int]) -> None:
    main = made(4000, range(0, 700))
    assert main.is_worn
    linked.clear()
    grown = main.with_more(["x"], VECTORS[5000:5001], REPORT, threads=1)
    assert sum(linked) == 3301
    assert (len(grown), grown.tombstones) == (3301, 0)
    assert [grown.ids[0], grown.ids[3300]] == ["i700", "x"]


def test_an_index_that_is_no_graph_becomes_one_when_it_is_large() -> None:
    ids = Ids([f"i{n}" for n in range(10)])
    main = MainIndex(ids, VECTORS[:10], ExactConfig().build(VECTORS[:10]))
    grown = main.with_more([f"x{n}" for n in range(3000)], VECTORS[10:3010], REPORT, threads=1)
    assert isinstance(grown.index, HnswIndex)
    assert recall(grown, VECTORS[:3010]) >= 0.985


def test_a_compact_index_makes_place_for_a_compact_one_that_keeps_no_copy_of_the_vectors() -> None:
    report = REPORT.model_copy(update={"settings": CompactConfig().model_dump()})
    main = MainIndex(
        Ids([f"i{n}" for n in range(3000)]), VECTORS[:3000], CompactConfig().build(VECTORS[:3000])
    )
    main.retire(7, tick=1)
    grown = main.with_more(["x0", "x1"], VECTORS[3000:3002], report, threads=1)
    assert isinstance(grown.index, CompactIndex)
    assert grown.index._vectors is grown.vectors
    assert (len(grown), grown.tombstones, grown.ids.row("i7")) == (3001, 0, None)
    assert recall(grown, grown.vectors) >= 0.985


def test_a_graph_that_would_miss_its_recall_is_built_anew() -> None:
    rng = np.random.default_rng(0)
    kinds = clustered_vectors(60, 16, spread=5)
    equal = kinds[rng.integers(0, 60, size=5000)]  # islands, whatever the ef
    config = HnswConfig(M=2, ef_construction=8, ef=10)
    main = MainIndex(Ids([f"i{n}" for n in range(3000)]), equal[:3000], config.build(equal[:3000]))
    grown = main.with_more([f"x{n}" for n in range(2000)], equal[3000:], REPORT, threads=1)
    assert isinstance(grown.index, HnswIndex)
    assert grown.index._graph.M > 2


def test_the_graph_of_a_bundle_without_one_has_the_defaults() -> None:
    exact = REPORT.model_copy(update={"settings": {"kind": "exact"}})
    assert graph_settings(exact) == HnswConfig()
    assert graph_settings(REPORT) == CONFIG
