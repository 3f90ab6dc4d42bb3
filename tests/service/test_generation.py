import hashlib
import os
import sys
import threading
import weakref
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import service.generation as module
from export.contract.errors import BundleError
from export.index.base import IndexSettings, VectorError, Vectors
from export.index.compact import CompactConfig
from export.index.exact import ExactConfig
from export.index.hnsw import HnswConfig
from service.generation import Generation
from tests.service.made import delete, grow, made_generation, put, unit_vectors
from tests.tiny import DIM, tiny_bundle

IN_BUNDLE = 30
POOL = unit_vectors(64, seed=3)
EXACT, HNSW, COMPACT = ExactConfig(), HnswConfig(ef=64, ef_construction=64), CompactConfig()
ids = st.sampled_from([f"i{n}" for n in range(0, IN_BUNDLE, 3)] + [f"x{n}" for n in range(9)])


def nearest(
    live: dict[str, Vectors], query: Vectors, k: int, excluded: Collection[str]
) -> tuple[list[str], list[float]]:
    """The oracle: a dict and exact numpy."""
    scored = {one: float(vector @ query) for one, vector in live.items() if one not in excluded}
    best = sorted(scored, key=lambda one: -scored[one])[:k]
    return best, [scored[one] for one in best]


changes = st.lists(st.tuples(ids, st.one_of(st.none(), st.integers(0, 63))), max_size=40)
asked = st.lists(
    st.tuples(st.integers(0, 63), st.integers(1, 60), st.sets(ids)), min_size=1, max_size=4
)


@pytest.mark.parametrize("index", [EXACT, HNSW, COMPACT], ids=["exact", "hnsw", "compact"])
@given(changes, asked)
@settings(max_examples=60)
def test_search_finds_what_a_dict_and_numpy_find(
    index: IndexSettings,
    changes: list[tuple[str, int | None]],
    asked: list[tuple[int, int, set[str]]],
) -> None:
    vectors = unit_vectors(IN_BUNDLE, seed=1)
    generation = made_generation(vectors, index)
    live = {f"i{n}": vector for n, vector in enumerate(vectors)}
    for rev, (one, vector) in enumerate(changes, 1):
        if vector is None:
            assert generation.apply(delete(one, rev), None)
            live.pop(one, None)
        else:
            assert generation.apply(put(one, rev), POOL[vector])
            live[one] = POOL[vector]
    assert len(generation) == len(live)
    queries = POOL[[query for query, _, _ in asked]]
    found = generation.search(queries, [k for _, k, _ in asked], [ex for _, _, ex in asked])
    for (query, k, excluded), answer in zip(asked, found, strict=True):
        _, scores = nearest(live, POOL[query], k, excluded)
        # Scores tell the items: where two are equal at the cut, either is right.
        np.testing.assert_allclose(answer.scores, scores, atol=1e-6)
        own = [float(live[one] @ POOL[query]) for one in answer.items]
        np.testing.assert_allclose(own, answer.scores, atol=1e-6)
        assert len(set(answer.items)) == len(answer.items)
        assert not excluded & set(answer.items)
        assert answer.exhausted == (len(answer.items) < k)


def state(generation: Generation) -> tuple[tuple[object, ...], list[dict[str, float]]]:
    """Everything that a request can see; scores apart, for their last bits hang on the layout."""
    served = [*generation.catalogue.ids, *(f"x{n}" for n in range(9))]
    revs = {one: (generation.known_rev(one), generation.get(one)) for one in served}
    vectors = {one: None if (v := generation.vector(one)) is None else v.tolist() for one in served}
    found = generation.search(POOL[:3], [60] * 3, [()] * 3)
    popular = generation.popular(50, ())
    sizes = (len(generation), generation.tombstones)
    scores = [dict(zip(of.items, of.scores.tolist(), strict=True)) for of in found]
    return (revs, vectors, popular.items, popular.scores.tolist(), sizes), scores


@given(changes, st.data())
@settings(max_examples=60)
def test_changes_in_any_order_with_repeats_end_in_the_same_state(
    changes: list[tuple[str, int | None]], data: st.DataObject
) -> None:
    numbered = list(enumerate(changes, 1))
    shuffled = data.draw(st.permutations(numbered + numbered[::2]))
    generations = []
    for order in (numbered, shuffled):
        generation = made_generation(unit_vectors(IN_BUNDLE, seed=1))
        for rev, (one, vector) in order:
            change = delete(one, rev) if vector is None else put(one, rev, length=float(rev))
            generation.apply(change, None if vector is None else POOL[vector])
        generations.append(generation)
    (seen, scores), (also_seen, other_scores) = map(state, generations)
    assert seen == also_seen
    for found, other in zip(scores, other_scores, strict=True):
        assert found == pytest.approx(other, abs=1e-5)


def test_an_older_or_repeated_change_is_refused() -> None:
    generation = made_generation(unit_vectors(5, seed=1))
    assert generation.apply(put("x1", 7), POOL[0])
    assert not generation.apply(put("x1", 7), POOL[1])
    assert not generation.apply(delete("x1", 6), None)
    assert "x1" in generation
    assert generation.highest_rev == 7


def test_equal_scores_go_by_id() -> None:
    generation = made_generation(unit_vectors(5, seed=1))
    for rev, one in enumerate(["b", "c", "a"], 1):
        generation.apply(put(one, rev), POOL[0])
    [found] = generation.search(POOL[:1], [3], [()])
    assert found.items == ["a", "b", "c"]


def test_replaced_rows_are_thinned_out_and_nothing_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "THIN_OUT", 16)
    generation = made_generation(unit_vectors(5, seed=1))
    for rev in range(1, 200):
        generation.apply(put(f"x{rev % 5}", rev), POOL[rev % 64])
        assert generation.delta_size <= 16
    assert len(generation) == 10
    newest = {f"x{rev % 5}": POOL[rev % 64] for rev in range(195, 200)}
    for one, vector in newest.items():
        [found] = generation.search(vector[None], [1], [()])
        assert found.items == [one]


@pytest.mark.parametrize(
    "vector",
    [None, np.zeros(DIM, np.float32), np.full(DIM, np.nan, np.float32), POOL[0][:3], POOL[:1]],
)
def test_a_put_without_a_unit_vector_changes_nothing(vector: Vectors | None) -> None:
    generation = made_generation(unit_vectors(5, seed=1))
    with pytest.raises(VectorError):
        generation.apply(put("i1", 1), vector)
    assert generation.known_rev("i1") == 0
    assert len(generation) == 5


def test_a_query_that_is_no_unit_vector_is_refused() -> None:
    generation = made_generation(unit_vectors(5, seed=1))
    with pytest.raises(VectorError):
        generation.search(2 * POOL[:1], [1], [()])


def test_no_queries_have_no_answers() -> None:
    generation = made_generation(unit_vectors(5, seed=1))
    assert generation.search(POOL[:0], [], []) == []


@pytest.mark.parametrize(
    "index", [EXACT, HNSW, COMPACT, None], ids=["exact", "hnsw", "compact", "loaded"]
)
def test_the_vectors_of_the_bundle_are_not_kept_beside_those_of_a_compacted_index(
    index: IndexSettings | None, bundle_folder: Path
) -> None:
    made = unit_vectors(IN_BUNDLE, seed=1)
    generation = Generation.load(bundle_folder) if index is None else made_generation(made, index)
    del made
    main = generation.view.main
    items, held = len(main), weakref.ref(main.vectors)
    del main
    generation.apply(put("x", 1), POOL[0])
    generation.compact(threads=1)
    assert held() is None
    assert generation.view.main.vectors.shape == (items + 1, DIM)
    assert generation.vector("i3") is not None


@pytest.mark.parametrize("index", [EXACT, HNSW, COMPACT], ids=["exact", "hnsw", "compact"])
@given(changes, changes)
@settings(max_examples=40)
def test_compaction_changes_nothing_that_a_request_sees(
    index: IndexSettings,
    before: list[tuple[str, int | None]],
    after: list[tuple[str, int | None]],
) -> None:
    generations = []
    for compacts in (False, True):
        generation = made_generation(unit_vectors(IN_BUNDLE, seed=1), index)
        for rev, (one, vector) in enumerate([*before, ("", None), *after], 1):
            if one:
                change = delete(one, rev) if vector is None else put(one, rev)
                generation.apply(change, None if vector is None else POOL[vector])
            elif compacts:
                generation.compact(threads=1)
                assert generation.delta_size == 0
                assert not generation.has_grown
        generations.append(generation)
    assert len(generations[0]) == len(generations[1])
    (seen, scores), (also_seen, other_scores) = map(state, generations)
    assert seen[:4] == also_seen[:4]
    for found, other in zip(scores, other_scores, strict=True):
        assert found == pytest.approx(other, abs=1e-5)


def test_a_generation_has_grown_when_its_recent_index_or_its_tombstones_are_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "GROW_AT", 4)
    monkeypatch.setattr(module, "RECENT_LEAST", 6)
    monkeypatch.setattr("service.index.main_index.TOMBSTONES_LEAST", 6)
    generation = made_generation(unit_vectors(80, seed=1))  # a tenth of it is 8
    for n in range(12):
        assert not generation.has_grown
        generation.apply(put(f"x{n}", n + 1), POOL[n])
        grow(generation)
    assert (generation.recent_size, generation.delta_size) == (12, 0)
    assert generation.has_grown
    generation.compact(threads=1)
    assert not generation.has_grown
    generation = made_generation(unit_vectors(40, seed=1))
    for n in range(6):
        generation.apply(delete(f"i{n}", n + 1), None)
    assert not generation.has_grown
    generation.apply(delete("i9", 9), None)
    assert generation.has_grown
    generation.compact(threads=1)
    assert not generation.has_grown
    assert len(generation) == 33


def test_an_empty_catalogue_finds_what_is_posted() -> None:
    generation = made_generation(unit_vectors(0, seed=1))
    for found in (*generation.search(POOL[:1], [3], [()]), generation.popular(3, ())):
        assert (found.items, found.scores.tolist(), found.exhausted) == ([], [], True)
    generation.apply(put("x1", 1), POOL[0])
    assert generation.search(POOL[:1], [1], [()])[0].items == ["x1"]


def test_popular_items_come_by_share_with_the_newest_in_every_tenth_place() -> None:
    generation = made_generation(unit_vectors(30, seed=1))
    generation.apply(put("x1", 1), POOL[0])
    generation.apply(put("x2", 2), POOL[1])
    generation.apply(put("x1", 5), POOL[0])  # posted again, so newer than x2
    generation.apply(put("i2", 3), POOL[2])  # replaced: still popular
    generation.apply(delete("i0", 4), None)
    found = generation.popular(20, {"i3"})
    usual = [f"i{n}" for n in [1, 2, *range(4, 20)]]
    assert found.items == [*usual[:9], "x1", *usual[9:18], "x2"]
    shares = generation.catalogue.popularity
    assert found.scores[:9].tolist() == [np.float32(shares[int(one[1:])]) for one in usual[:9]]
    assert found.scores[9] == 0
    assert not found.exhausted


def test_popular_says_when_there_are_no_more() -> None:
    generation = made_generation(unit_vectors(3, seed=1))
    generation.apply(put("x1", 1), POOL[0])
    found = generation.popular(5, {"i1", "nobody"})
    assert found.items == ["i0", "i2", "x1"]
    assert found.exhausted


def test_a_loaded_bundle_finds_its_own_items(tmp_path: Path) -> None:
    generation = Generation.load(tiny_bundle(tmp_path, items=12))
    assert generation.version == "tiny-1"
    vector = generation.vector("i3")
    assert vector is not None
    [found] = generation.search(vector[None], [1], [()])
    assert found.scores == pytest.approx([1.0], abs=1e-5)
    assert generation.bundle.ids[3] == "i3"


def test_each_file_of_a_bundle_is_compared_with_its_checksum_and_none_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tiny_bundle(tmp_path, items=2100)
    compared: list[str] = []
    digest = hashlib.file_digest

    def counted(file: Any, kind: str) -> Any:
        compared.append(Path(file.name).relative_to(folder).as_posix())
        return digest(file, kind)

    monkeypatch.setattr(hashlib, "file_digest", counted)
    manifest = Generation.load(folder).bundle.manifest
    assert "index/main.bin" in manifest.checksums
    assert sorted(compared) == sorted(manifest.checksums)


@pytest.mark.parametrize("member", ["index/main.bin", "vectors.npy", "golden.json"])
def test_whatever_file_of_a_bundle_is_changed_it_is_refused(tmp_path: Path, member: str) -> None:
    folder = tiny_bundle(tmp_path, items=2100)
    content = bytearray((folder / member).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / member).write_bytes(content)
    with pytest.raises(BundleError, match=f"{member}.*(changed|SHA-256)"):
        Generation.load(folder)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_fork_of_a_loaded_generation_serves_and_changes_for_itself(bundle_folder: Path) -> None:
    generation = Generation.load(bundle_folder)
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            generation.apply(put("x1", 1), generation.vector("i1"))
            record = generation.get("i5")
            found = generation.popular(5, ()).items
            os.write(write, f"{len(generation)} {record is not None} {len(found)}".encode())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        said = pipe.read()
    os.waitpid(pid, 0)
    assert said == "41 True 5"
    assert len(generation) == 40


def test_a_search_beside_a_writer_never_sees_half_a_change() -> None:
    generation = made_generation(unit_vectors(50, seed=1))
    for rev in range(1, 6):
        generation.apply(put(f"x{rev}", rev), POOL[rev])
    expected = sorted([f"i{n}" for n in range(50)] + [f"x{n}" for n in range(1, 6)])
    stop = threading.Event()

    def write() -> None:
        rev = 6
        while not stop.is_set():
            generation.apply(put(f"x{rev % 5 + 1}", rev), POOL[rev % 64])
            generation.apply(put(f"i{rev % 50}", rev + 1), POOL[rev % 64])
            rev += 2

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(300):
            everything, most = generation.search(POOL[:2], [60, 60], [(), {"x1", "i1"}])
            assert sorted(everything.items) == expected
            assert sorted(most.items) == sorted({*expected} - {"x1", "i1"})
    finally:
        stop.set()
        writer.join()
        sys.setswitchinterval(interval)
