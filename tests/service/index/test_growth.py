import contextlib
import logging
import threading
from collections.abc import Collection

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import service.generation as module
from export.index.base import Vectors
from export.index.clustered import clustered_vectors, queries_near
from export.index.exact import ExactConfig
from export.index.hnsw import HnswConfig
from export.index.tune import recall_at_k
from service.generation import Generation
from service.index.growth import Growth, NoRoom
from tests.service.made import delete, grow, made_generation, put, unit_vectors
from tests.tiny import DIM

IN_BUNDLE = 30
POOL = unit_vectors(64, seed=3)
ids = st.sampled_from([f"i{n}" for n in range(0, IN_BUNDLE, 3)] + [f"x{n}" for n in range(9)])
vectors = st.integers(0, 63)
steps = st.one_of(
    st.tuples(st.just("put"), ids, vectors),
    st.tuples(st.just("delete"), ids, vectors),
    st.tuples(st.sampled_from(["grow", "grow", "grow", "drop"]), ids, vectors),
)


def check(
    generation: Generation, live: dict[str, Vectors], k: int, excluded: Collection[str]
) -> None:
    """Compare an answer with a dict and exact numpy."""
    query = POOL[:1]
    [found] = generation.search(query, [k], [excluded])
    scored = {one: float(vector @ query[0]) for one, vector in live.items() if one not in excluded}
    best = sorted(scored.values(), reverse=True)[:k]
    # Scores tell the items: where two are equal at the cut, either is right.
    np.testing.assert_allclose(found.scores, best, atol=1e-6)
    np.testing.assert_allclose([scored[one] for one in found.items], found.scores, atol=1e-6)
    assert len(set(found.items)) == len(found.items)
    assert len(generation) == len(live)


class Life:
    """A generation, its oracle, and the step of growth that is under way."""

    def __init__(self) -> None:
        base = unit_vectors(IN_BUNDLE, seed=1)
        self.generation = made_generation(base, HnswConfig(ef=64))
        self.live = {f"i{n}": vector for n, vector in enumerate(base)}
        self.growth: Growth | None = None
        self.is_built = False
        self.rev = 0

    def do(self, what: str, one: str, vector: int) -> None:
        self.rev += 1
        generation, growth = self.generation, self.growth
        if what == "put":
            generation.apply(put(one, self.rev), POOL[vector])
            self.live[one] = POOL[vector]
        elif what == "delete":
            generation.apply(delete(one, self.rev), None)
            self.live.pop(one, None)
        elif what == "drop" and growth is not None:
            generation.drop_growth()
            self.growth = None
        elif what == "grow":
            self.grow()

    def grow(self) -> None:
        """Go on with the step, or begin one."""
        if self.growth is None:
            self.growth, self.is_built = self.generation.begin_growth(), False
        elif not self.is_built:
            self.growth.build()
            self.is_built = True
        else:
            self.generation.finish_growth(self.growth)
            self.growth = None


@given(st.lists(steps, min_size=20, max_size=60), st.integers(1, 60), st.sets(ids, max_size=6))
@settings(
    max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
def test_growth_neither_loses_nor_doubles_an_item_whatever_happens_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
    steps: list[tuple[str, str, int]],
    k: int,
    excluded: set[str],
) -> None:
    monkeypatch.setattr(module, "GROW_AT", 2)
    monkeypatch.setattr(module, "THIN_OUT", 8)
    monkeypatch.setattr(module, "RECENT_LEAST", 40)
    life = Life()
    for step in steps:
        life.do(*step)
        check(life.generation, life.live, k, excluded)
    for one, vector in life.live.items():
        found = life.generation.vector(one)
        assert found is not None
        np.testing.assert_array_equal(found, vector)


@pytest.mark.parametrize("is_built", [False, True])
def test_what_changes_during_a_step_is_as_it_was_written_last(
    monkeypatch: pytest.MonkeyPatch, is_built: bool
) -> None:
    monkeypatch.setattr(module, "GROW_AT", 4)
    generation = made_generation(unit_vectors(0, seed=1))
    for n in range(4):
        generation.apply(put(f"x{n}", n + 1), POOL[n])
    growth = generation.begin_growth()
    assert growth is not None
    if is_built:
        growth.build()
    generation.apply(put("x1", 5), POOL[30])
    generation.apply(delete("x2", 6), None)
    generation.apply(put("x9", 7), POOL[31])
    if not is_built:
        growth.build()
    generation.finish_growth(growth)
    live = {"x0": POOL[0], "x1": POOL[30], "x3": POOL[3], "x9": POOL[31]}
    check(generation, live, 10, ())
    assert (generation.recent_size, generation.delta_size) == (2, 2)


def test_one_item_written_many_times_during_a_step_is_there_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "GROW_AT", 4)
    monkeypatch.setattr(module, "THIN_OUT", 8)
    generation = made_generation(unit_vectors(0, seed=1))
    live = {f"x{n}": POOL[n] for n in range(4)}
    for n in range(4):
        generation.apply(put(f"x{n}", n + 1), POOL[n])
    growth = generation.begin_growth()
    assert growth is not None
    for rev in range(5, 40):
        generation.apply(put("x0", rev), POOL[rev])
        live["x0"] = POOL[rev]
    growth.build()
    generation.finish_growth(growth)
    check(generation, live, 10, ())
    assert generation.delta_size == 1


def test_what_is_in_the_delta_is_found_as_exactly_as_before(
    monkeypatch: pytest.MonkeyPatch, linked: list[int]
) -> None:
    generation = made_generation(unit_vectors(0, seed=1))
    posted = unit_vectors(3000, seed=5)
    for n, vector in enumerate(posted):
        generation.apply(put(f"x{n}", n + 1), vector)
    assert not grow(generation)  # below GROW_AT
    assert linked == []
    [found] = generation.search(POOL[:1], [100], [()])
    best = np.argsort(-(posted @ POOL[0]))[:100]
    assert found.items == [f"x{n}" for n in best.tolist()]


def test_what_is_written_again_and_again_goes_in_before_it_fills_the_delta(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "GROW_AT", 100)
    generation = made_generation(unit_vectors(5, seed=1))
    for n in range(100):
        generation.apply(put(f"x{n % 60}", n + 1), POOL[n % 60])
    assert grow(generation)
    assert (generation.recent_size, generation.delta_size) == (60, 0)


def test_recall_stays_at_its_target_step_after_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GROW_AT", 500)
    everything = clustered_vectors(9000, DIM, spread=1.0)
    base, more = everything[:3000], everything[3000:]
    generation = made_generation(base, HnswConfig(ef=200))
    live = {f"i{n}": vector for n, vector in enumerate(base)}
    rng, taken = np.random.default_rng(1), 0
    for rev in range(1, 7000):
        one = f"i{rng.integers(3000)}" if rev % 10 == 0 else f"x{rng.integers(5000)}"
        if rev % 13 == 0:
            generation.apply(delete(one, rev), None)
            live.pop(one, None)
        else:
            generation.apply(put(one, rev), more[rev % 6000])
            live[one] = more[rev % 6000]
        if grow(generation):
            taken += 1
            matrix = np.stack(list(live.values()))
            queries = queries_near(matrix, 50, seed=rev)
            _, truth = ExactConfig().build(matrix).search(queries, 100)
            found = generation.search(queries, [100] * 50, [()] * 50)
            assert recall_at_k(np.stack([one.scores for one in found]), truth) >= 0.99
            assert len(generation) == len(live)
    assert taken >= 10
    assert generation.recent_size > 2000


@pytest.mark.parametrize("catalogue", [400, 4000])
def test_posting_costs_what_is_posted_whatever_the_catalogue(
    monkeypatch: pytest.MonkeyPatch, linked: list[int], catalogue: int
) -> None:
    monkeypatch.setattr(module, "GROW_AT", 100)
    generation = made_generation(unit_vectors(catalogue, seed=1), HnswConfig())
    linked.clear()
    for n, vector in enumerate(unit_vectors(1000, seed=2)):
        generation.apply(put(f"x{n}", n + 1), vector)
        grow(generation)
    assert sum(linked) == 1900  # twice each, but for the last step's
    linked.clear()
    generation.compact(threads=1)
    assert sum(linked) == 1000


def test_where_half_is_gone_the_recent_index_begins_anew(
    monkeypatch: pytest.MonkeyPatch, linked: list[int]
) -> None:
    monkeypatch.setattr(module, "GROW_AT", 50)
    generation = made_generation(unit_vectors(30, seed=1), HnswConfig(ef=64))
    posted = unit_vectors(4000, seed=2)
    for rev, vector in enumerate(posted, 1):
        generation.apply(put(f"x{rev % 60}", rev), vector)
        grow(generation)
        assert len(generation._view.recent) + generation.delta_size <= 4 * 60 + 50
    assert sum(linked) <= 4 * len(posted)
    live = {f"i{n}": vector for n, vector in enumerate(unit_vectors(30, seed=1))}
    live |= {f"x{rev % 60}": posted[rev - 1] for rev in range(3941, 4001)}
    check(generation, live, 90, ())


def test_a_search_beside_growth_sees_what_was_there_before_or_after(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "GROW_AT", 200)
    generation = made_generation(unit_vectors(300, seed=1), HnswConfig(ef=3000))
    posted = unit_vectors(2000, seed=2)
    faults: list[str] = []
    known = 0
    has_ended = threading.Event()

    def findable(count: int) -> int:
        return 299 + count - (count > 1)  # i1 and x1 are excluded

    def search() -> None:
        while not has_ended.is_set():
            least = known
            [found] = generation.search(POOL[:1], [3000], [{"i1", "x1"}])
            if len(set(found.items)) != len(found.items):
                faults.append("an item twice")
            if not findable(least) <= len(found.items) <= findable(known + 1):
                faults.append(f"{len(found.items)} items, {least} to {known} posted")

    searching = threading.Thread(target=search)
    searching.start()
    try:
        for n, vector in enumerate(posted):
            generation.apply(put(f"x{n}", n + 1), vector)
            known = n + 1
            growth = generation.begin_growth()
            if growth is not None:
                building = threading.Thread(target=growth.build)
                building.start()
                building.join()
                generation.finish_growth(growth)
    finally:
        has_ended.set()
        searching.join()
    assert faults == []
    assert generation.recent_size > 1000


def test_only_one_step_is_taken_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GROW_AT", 2)
    generation = made_generation(unit_vectors(5, seed=1))
    for n in range(4):
        generation.apply(put(f"x{n}", n + 1), POOL[n])
    assert generation.begin_growth() is not None
    assert generation.begin_growth() is None
    generation.drop_growth()
    assert generation.begin_growth() is not None


def test_without_room_nothing_grows_and_all_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GROW_AT", 5)
    monkeypatch.setattr(module, "RECENT_LEAST", 10)
    generation = made_generation(unit_vectors(5, seed=1))
    live = {f"i{n}": vector for n, vector in enumerate(unit_vectors(5, seed=1))}
    for n in range(60):
        generation.apply(put(f"x{n}", n + 1), POOL[n])
        live[f"x{n}"] = POOL[n]
        with contextlib.suppress(NoRoom):
            grow(generation)
    with pytest.raises(NoRoom, match="room for 20 rows"):
        grow(generation)
    assert (generation.recent_size, generation.delta_size) == (20, 40)
    check(generation, live, 30, ())


def test_new_items_that_are_alike_get_a_denser_graph(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "GROW_AT", 3000)
    generation = made_generation(unit_vectors(5, seed=1), HnswConfig(M=2, ef_construction=8))
    bundle = generation.bundle
    report = bundle.manifest.index.model_copy(
        update={"settings": HnswConfig(M=2, ef_construction=8, ef=10).model_dump()}
    )
    generation._growing.report = report
    for n, vector in enumerate(clustered_vectors(3000, DIM)):
        generation.apply(put(f"x{n}", n + 1), vector)
    with caplog.at_level(logging.WARNING):
        assert grow(generation)
    assert generation._growing.twins.settings.M > 2
    assert [r.message for r in caplog.records if "misses" in r.message] == []
