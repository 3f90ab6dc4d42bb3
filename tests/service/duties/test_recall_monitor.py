"""The gauge of recall tells what exact search tells; what it costs is bounded."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Sequence, Set

import numpy as np
import pytest
from prometheus_client import REGISTRY

from export.embedder import Vectors
from export.index.hnsw import HnswConfig
from service.duties.recall_monitor import ROWS_AT_ONCE, WAITING_MOST, RecallMonitor, exact_scores
from service.generation import Generation
from service.index.found import Found
from service.index.view import Searches
from service.records import ItemRecord, Op
from service.settings import Settings
from tests.service.made import grow, made_bundle, made_generation, put, unit_vectors
from tests.service.running import Service, patient
from tests.service.test_follower import until


def sampled(was: str, version: str = "made-1") -> float:
    name = "firstsight_online_recall_samples_total"
    return REGISTRY.get_sample_value(name, {"was": was, "version": version}) or 0.0


def gauge(version: str = "made-1") -> float | None:
    return REGISTRY.get_sample_value("firstsight_online_recall", {"version": version})


def note(
    monitor: RecallMonitor,
    generation: Generation,
    queries: Vectors,
    ks: list[int],
    excluded: Sequence[Set[str]],
    found: list[Found],
) -> None:
    asked = Searches(generation.view, queries, ks, excluded)
    monitor.note(generation.version, asked, found)


def searched(
    monitor: RecallMonitor, generation: Generation, queries: Vectors, k: int = 10
) -> list[Vectors]:
    """Search one by one, as requests do, and have the monitor note each."""
    scores = []
    for query in queries:
        found = generation.search(query[None], [k], [frozenset()])
        note(monitor, generation, query[None], [k], [frozenset()], found)
        scores.append(found[0].scores)
    return scores


def measured(monitor: RecallMonitor, generation: Generation, queries: Vectors) -> float:
    """Have the monitor measure a search of each query; return the recall that exact search says."""

    async def run() -> list[float]:
        running = asyncio.create_task(monitor.run())
        recalls = []
        for query in queries:
            before = sampled("measured")
            [found] = searched(monitor, generation, query[None])
            [truth] = made_truth(generation, query[None])
            recalls.append(float(np.mean(found >= truth[-1] - 1e-6)))
            await until(lambda before=before: sampled("measured") > before)  # type: ignore[misc]
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
        return recalls

    return float(np.mean(asyncio.run(run())))


def made_truth(generation: Generation, queries: Vectors, k: int = 10) -> list[Vectors]:
    scores = queries @ generation.bundle.vectors.T
    best: list[Vectors] = list(np.sort(scores, axis=1)[:, ::-1][:, :k])
    return best


def test_an_exact_index_has_a_recall_of_one() -> None:
    generation = made_generation(unit_vectors(300, seed=1))
    assert measured(RecallMonitor(1, 1000), generation, unit_vectors(20, seed=2)) == 1.0
    assert gauge() == 1.0


def test_an_index_that_misses_much_is_seen_to() -> None:
    vectors = unit_vectors(5000, seed=1)
    index = HnswConfig(M=4, ef_construction=8, ef=1).build(vectors, threads=1)
    generation = Generation(made_bundle(vectors), index)
    queries = unit_vectors(600, seed=2)
    truth = made_truth(generation, queries)
    found = [generation.search(query[None], [10], [frozenset()])[0].scores for query in queries]
    pairs = zip(found, truth, strict=True)
    true_recall = float(np.mean([np.mean(one >= best[-1] - 1e-6) for one, best in pairs]))
    assert 0.2 < true_recall < 0.9
    recall = measured(RecallMonitor(1, 1000), generation, queries[:100])
    told = gauge()
    assert told == pytest.approx(recall, abs=1e-9)
    assert told == pytest.approx(true_recall, abs=0.1)


def test_a_search_that_finds_fewer_than_there_are_has_missed_them() -> None:
    generation = made_generation(unit_vectors(30, seed=1))
    [query] = unit_vectors(1, seed=2)
    [found] = generation.search(query[None], [10], [frozenset()])
    monitor = RecallMonitor(1, 1000)
    note(monitor, generation, query[None], [20], [frozenset()], [found])
    assert monitor._waiting.get_nowait().recall() == 0.5


def test_nothing_to_find_is_nothing_missed() -> None:
    generation = made_generation(unit_vectors(3, seed=1))
    monitor, everything = RecallMonitor(1, 1000), frozenset(("i0", "i1", "i2"))
    query = unit_vectors(1, seed=2)
    note(monitor, generation, query, [5], [everything], generation.search(query, [5], [everything]))
    assert monitor._waiting.get_nowait().recall() == 1.0


def churn(generation: Generation, start: int) -> None:
    posted = unit_vectors(400, seed=start + 9)
    for n in range(400):
        name = f"i{7 * n}" if n % 3 == 0 else f"x{n % 150}"
        op: Op = "delete" if n % 5 == 0 else "put"
        item = ItemRecord(name, start + n, op, {}, {})
        generation.apply(item, None if op == "delete" else posted[n])


def brute(generation: Generation, query: Vectors, k: int, excluded: frozenset[str]) -> Vectors:
    ids = set(generation.bundle.ids) | set(generation.changed())
    vectors = [generation.vector(one) for one in sorted(ids - excluded)]
    scores = np.stack([vector for vector in vectors if vector is not None]) @ query
    best: Vectors = np.sort(scores)[::-1][:k]
    return best


@pytest.mark.parametrize("k", [1, 40, 100_000])
def test_removed_replaced_and_excluded_items_are_not_missed(k: int) -> None:
    generation = made_generation(unit_vectors(ROWS_AT_ONCE + 3000, seed=1))
    churn(generation, 1)
    [query] = unit_vectors(1, seed=4)
    [best] = generation.search(query[None], [30], [frozenset()])
    excluded = frozenset((*best.items[::2], "x7", f"i{ROWS_AT_ONCE + 5}", "nothing"))
    expected = brute(generation, query, k, excluded)
    told = exact_scores(generation.view.parts(), generation.view.tick, query, k, excluded)
    np.testing.assert_allclose(told, expected, atol=1e-6)


def test_the_moment_of_the_search_counts_whatever_is_changed_later() -> None:
    generation = made_generation(unit_vectors(3000, seed=1))
    churn(generation, 1)
    [query] = unit_vectors(1, seed=4)
    view, before = generation.view, brute(generation, query, 50, frozenset())
    parts = view.parts()
    for turn in range(1, 8):  # over the room of the delta, and over where it is thinned out
        churn(generation, 1000 * turn)
    assert not np.array_equal(brute(generation, query, 50, frozenset()), before)
    np.testing.assert_allclose(exact_scores(parts, view.tick, query, 50, ()), before, atol=1e-6)


def test_what_is_drawn_beyond_a_few_is_dropped_and_waits_for_nobody() -> None:
    generation, monitor = made_generation(unit_vectors(50, seed=1)), RecallMonitor(1, 1000)
    before = sampled("dropped")
    searched(monitor, generation, unit_vectors(100, seed=2))  # and nobody repeats them
    assert monitor._waiting.qsize() == WAITING_MOST
    assert sampled("dropped") - before == 100 - WAITING_MOST


@pytest.mark.parametrize("batch", [1, 16])
def test_each_search_is_drawn_with_the_same_chance(batch: int) -> None:
    generation, monitor = made_generation(unit_vectors(50, seed=1)), RecallMonitor(0.1, 1000)
    queries = unit_vectors(batch, seed=2)
    found = generation.search(queries, [5] * batch, [frozenset()] * batch)
    before = sampled("dropped")
    for _ in range(9600 // batch):
        note(monitor, generation, queries, [5] * batch, [frozenset()] * batch, found)
    drawn = sampled("dropped") - before + monitor._waiting.qsize()
    assert 960 - 180 < drawn < 960 + 180  # six standard deviations


def test_no_more_are_repeated_in_a_second_than_is_set() -> None:
    generation = made_generation(unit_vectors(50, seed=1))

    async def repeated(most_per_s: float, enough: Callable[[float], bool]) -> float:
        monitor, before = RecallMonitor(1, most_per_s), sampled("measured")
        searched(monitor, generation, unit_vectors(WAITING_MOST, seed=2))
        running = asyncio.create_task(monitor.run())
        await until(lambda: enough(sampled("measured") - before))
        await asyncio.sleep(0.1)
        running.cancel()
        return sampled("measured") - before

    assert asyncio.run(repeated(1000, lambda done: done == WAITING_MOST)) == WAITING_MOST
    assert asyncio.run(repeated(0.001, lambda done: done == 1)) == 1


def test_a_search_that_cannot_be_repeated_ends_nothing() -> None:
    generation, monitor = made_generation(unit_vectors(50, seed=1)), RecallMonitor(1, 1000)

    async def run() -> None:
        running = asyncio.create_task(monitor.run())
        [query] = unit_vectors(1, seed=2)
        found = generation.search(query[None], [5], [frozenset()])
        note(
            monitor, generation, np.zeros((1, 3), np.float32), [5], [frozenset()], found
        )  # of another dim
        before = sampled("measured")
        note(monitor, generation, query[None], [5], [frozenset()], found)
        await until(lambda: sampled("measured") > before)
        running.cancel()

    asyncio.run(run())


@pytest.fixture
def services(redis_url: str, bundle_folder: object) -> Iterator[Callable[[float], Service]]:
    with contextlib.ExitStack() as stack:

        def start(share: float) -> Service:
            settings = patient(redis_url).model_copy(
                update={"monitor_share": share, "monitor_per_s": 1000.0}
            )
            generation = Generation.load(bundle_folder)  # type: ignore[arg-type]
            return stack.enter_context(Service(settings, generation))

        yield start


def asked(service: Service, times: int = 5) -> None:
    for _ in range(times):
        assert service.post("/recall", {"user": {"taste": {"art": 1.0}}}).status_code == 200
        assert service.post("/recall", {}).json()["state"] == "fallback"  # which searches nothing


def test_a_service_tells_of_the_share_that_is_set(
    services: Callable[[float], Service],
) -> None:
    def seen() -> float:
        return sampled("measured", "tiny-1") + sampled("dropped", "tiny-1")

    before = seen()
    asked(services(0))
    assert seen() == before
    service = services(1)
    asked(service)

    async def all_seen() -> None:
        await until(lambda: seen() == before + 5)

    service.do(all_seen())
    assert gauge("tiny-1") == 1.0
    assert 'firstsight_online_recall{version="tiny-1"} 1.0' in service.get("/metrics").text


def test_without_a_share_there_is_no_monitor() -> None:
    assert RecallMonitor.of(Settings(monitor_share=0)) is None
    assert RecallMonitor.of(Settings()) is not None


def test_what_waits_to_be_measured_does_not_keep_the_recent_index_from_growing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("service.generation.GROW_AT", 50)
    generation, monitor = made_generation(unit_vectors(200, seed=1)), RecallMonitor(1, 1000)
    for turn in range(1, 5):
        for number, vector in enumerate(unit_vectors(60, seed=turn)):
            generation.apply(put(f"g{turn}-{number}", 100 * turn + number), vector)
        assert grow(generation)
        assert generation.recent_size == 60 * turn
        searched(monitor, generation, unit_vectors(1, seed=9))
