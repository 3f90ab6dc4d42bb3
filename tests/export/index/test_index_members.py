"""What every member of the index family promises; a new member is tested once it is registered."""

import hashlib
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from export.contract.errors import BundleError, ContractError
from export.index import IndexConfig
from export.index.base import IndexSettings, VectorError, VectorIndex, Vectors
from export.index.clustered import clustered_vectors, queries_near, unit

MEMBERS: tuple[type[IndexSettings], ...] = get_args(get_args(IndexConfig)[0])
every_member = pytest.mark.parametrize("member", MEMBERS)
VECTORS = clustered_vectors(3000, 16)
QUERIES = queries_near(VECTORS, 40, seed=7)


@pytest.fixture(scope="module", params=MEMBERS)
def index(request: pytest.FixtureRequest) -> VectorIndex:
    member: type[IndexSettings] = request.param
    return member().build(VECTORS)


@st.composite
def worlds(draw: st.DrawFn) -> tuple[Vectors, Vectors]:
    """Vectors and queries of entries +-.5: unit length, full of ties, scores without rounding."""
    count, queries = draw(st.integers(0, 40)), draw(st.integers(0, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    made = rng.choice(np.array([-0.5, 0.5], np.float32), (count + queries, 4))
    return made[:count], made[count:]


@every_member
@settings(max_examples=60)
@given(world=worlds(), k=st.integers(1, 60))
def test_answers_are_different_rows_with_true_scores_best_first_ties_by_label(
    member: type[IndexSettings], world: tuple[Vectors, Vectors], k: int
) -> None:
    vectors, queries = world
    index = member().build(vectors)
    labels, scores = index.search(queries, k)
    assert len(index) == len(vectors)
    assert labels.shape == scores.shape == (len(queries), min(k, len(vectors)))
    assert labels.dtype == np.int64
    assert scores.dtype == np.float32
    for query, found, of_found in zip(queries, labels, scores, strict=True):
        np.testing.assert_array_equal(of_found, vectors[found] @ query)
        pairs = list(zip(-of_found, found, strict=True))
        assert pairs == sorted(set(pairs))


def test_all_but_one_in_a_hundred_of_the_true_nearest_are_found(index: VectorIndex) -> None:
    labels, _ = index.search(QUERIES, 50)
    truth = np.argsort(-(QUERIES @ VECTORS.T), axis=1)[:, :50]
    shared = [len(set(a) & set(b)) for a, b in zip(labels, truth, strict=True)]
    assert np.mean(shared) / 50 >= 0.99


def test_a_vector_finds_itself_first(index: VectorIndex) -> None:
    labels, scores = index.search(VECTORS[:50], 1)
    np.testing.assert_array_equal(labels[:, 0], np.arange(50))
    np.testing.assert_allclose(scores, 1, atol=1e-5)


def test_many_queries_at_once_get_the_answers_of_each_alone(index: VectorIndex) -> None:
    queries = queries_near(VECTORS, 300, seed=8)
    labels, scores = index.search(queries, 10)
    alone = [index.search(query[None], 10) for query in queries]
    np.testing.assert_allclose(scores, np.concatenate([found for _, found in alone]), atol=1e-6)
    assert np.mean(labels == np.concatenate([found for found, _ in alone])) > 0.99


def test_threads_searching_together_get_the_answers_of_one(index: VectorIndex) -> None:
    alone = [index.search(query[None], 20) for query in QUERIES]
    with ThreadPoolExecutor(8) as pool:
        asked = [query[None] for query in QUERIES] * 10
        together = list(pool.map(lambda query: index.search(query, 20), asked))
    for (labels, scores), (labels_alone, scores_alone) in zip(together, alone * 10, strict=True):
        np.testing.assert_array_equal(labels, labels_alone)
        np.testing.assert_array_equal(scores, scores_alone)


@every_member
def test_a_change_of_the_array_it_was_built_from_changes_no_answer(
    member: type[IndexSettings],
) -> None:
    vectors = VECTORS.copy()
    index = member().build(vectors)
    before = index.search(QUERIES, 5)
    vectors[:] = VECTORS[::-1]
    for then, now in zip(before, index.search(QUERIES, 5), strict=True):
        np.testing.assert_array_equal(then, now)


@every_member
def test_one_thread_builds_the_same_file_again(member: type[IndexSettings], tmp_path: Path) -> None:
    first, second = (member().build(VECTORS, threads=1).save(tmp_path / name) for name in "ab")
    assert first == second


@every_member
@pytest.mark.parametrize("count", [0, 1, 500])
def test_a_saved_index_answers_as_before(
    member: type[IndexSettings], count: int, tmp_path: Path
) -> None:
    built = member().build(VECTORS[:count])
    sha256 = built.save(tmp_path / "index")
    loaded = member().load(tmp_path / "index", sha256=sha256, vectors=VECTORS[:count])
    assert (len(loaded), loaded.dim) == (count, 16)
    for before, after in zip(built.search(QUERIES, 9), loaded.search(QUERIES, 9), strict=True):
        np.testing.assert_array_equal(before, after)


@every_member
def test_a_flipped_bit_anywhere_is_refused(member: type[IndexSettings], tmp_path: Path) -> None:
    path = tmp_path / "index"
    sha256 = member().build(VECTORS[:50]).save(path)
    whole = path.read_bytes()
    for place in np.linspace(0, len(whole) - 1, 40).astype(int):
        path.write_bytes(
            whole[:place] + bytes([whole[place] ^ 1 << place % 8]) + whole[place + 1 :]
        )
        with pytest.raises(BundleError, match=f"expected {sha256}"):
            member().load(path, sha256=sha256, vectors=VECTORS[:50])


@every_member
@pytest.mark.parametrize(("dim", "count"), [(8, 50), (32, 50), (16, 49), (16, 51)])
def test_a_file_of_another_shape_is_refused(
    member: type[IndexSettings], dim: int, count: int, tmp_path: Path
) -> None:
    sha256 = member().build(VECTORS[:50]).save(tmp_path / "index")
    others = clustered_vectors(count, dim)
    with pytest.raises(BundleError, match="holds .* expected"):
        member().load(tmp_path / "index", sha256=sha256, vectors=others)


@every_member
@pytest.mark.parametrize("content", [b"", b"not an index" * 20])
def test_a_file_that_is_no_index_is_refused(
    member: type[IndexSettings], content: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "index"
    path.write_bytes(content)
    sha256 = hashlib.sha256(content).hexdigest()
    with pytest.raises(BundleError, match="index file"):
        member().load(path, sha256=sha256, vectors=VECTORS[:50])


@every_member
def test_a_missing_file_is_named(member: type[IndexSettings], tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"gone: No such file"):
        member().load(tmp_path / "gone", sha256="0" * 64, vectors=VECTORS[:50])


FULL_DISK = """
import resource, sys
from pathlib import Path
from pydantic import TypeAdapter
from export.index import IndexConfig
from export.index.clustered import clustered_vectors
index = TypeAdapter(IndexConfig).validate_python({"kind": sys.argv[2]})
index = index.build(clustered_vectors(2000, 16))
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
try:
    index.save(Path(sys.argv[1]))
except OSError as error:
    print("refused:", error)
"""


@every_member
def test_a_disk_that_takes_no_more_leaves_the_old_file(
    member: type[IndexSettings], tmp_path: Path
) -> None:
    path = tmp_path / "index"
    sha256 = member().build(VECTORS[:50]).save(path)
    kind = member.model_fields["kind"].default
    command = [sys.executable, "-c", FULL_DISK, str(path), kind]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert said.stdout.startswith("refused:")
    assert list(tmp_path.iterdir()) == [path]
    assert len(member().load(path, sha256=sha256, vectors=VECTORS[:50])) == 50


def bad_vectors() -> list[tuple[object, str]]:
    good = VECTORS[:5]
    marred = {"NaN": np.nan, "infinity": np.inf, "length 1e\\+30": 1e30}
    cases: list[tuple[object, str]] = [
        (good.tolist(), "list, expected a numpy array of float32"),
        (good.astype(np.float64), "float64, expected a numpy array of float32"),
        (good[0], r"got shape \[16\]"),
        (good[:, :0], r"got shape \[5, 0\]"),
        (good * np.float32(1.02), r"0: got length 1.02, expected .* length 0.99..1.01"),
        (good * np.float32(0), "0: got length 0, expected"),
    ]
    for word, value in marred.items():
        vectors = good.copy()
        vectors[3, 2] = value
        cases.append((vectors, f" 3: got {word}, expected finite"))
    return cases


@every_member
@pytest.mark.parametrize(("vectors", "message"), bad_vectors())
def test_bad_vectors_are_refused_at_both_entrances(
    member: type[IndexSettings], vectors: Vectors, message: str
) -> None:
    index = member().build(VECTORS[:5])
    with pytest.raises(VectorError, match="vector.*" + message):
        member().build(vectors)
    with pytest.raises(VectorError, match="query.*" + message):
        index.search(vectors, 3)


def test_queries_of_another_width_are_refused(index: VectorIndex) -> None:
    with pytest.raises(VectorError, match=r"got shape \[1, 8\], expected \[any number, 16\]"):
        index.search(unit(VECTORS[:1, :8]), 3)


@pytest.mark.parametrize("k", [0, -1])
def test_k_below_one_is_refused(index: VectorIndex, k: int) -> None:
    with pytest.raises(ContractError, match=f"k: got {k}, expected at least 1"):
        index.search(QUERIES, k)


def test_a_length_within_a_hundredth_of_one_is_taken(index: VectorIndex) -> None:
    for factor in (0.991, 1.009):
        labels, _ = index.search(QUERIES * np.float32(factor), 1)
        assert labels.shape == (len(QUERIES), 1)


@every_member
def test_settings_are_read_by_kind_and_unknown_ones_are_refused(
    member: type[IndexSettings],
) -> None:
    adapter: TypeAdapter[IndexSettings] = TypeAdapter(IndexConfig)
    written = member().model_dump(mode="json")
    assert adapter.validate_python(written) == member()
    with pytest.raises(ValidationError, match="speed"):
        adapter.validate_python({**written, "speed": 1})
