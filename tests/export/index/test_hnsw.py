import logging
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from export.contract.errors import BundleError
from export.index.base import VectorError, Vectors
from export.index.clustered import clustered_vectors, queries_near, unit
from export.index.exact import ExactConfig
from export.index.file import sha256_of
from export.index.hnsw import HEADER, HnswConfig, HnswIndex
from export.index.tune import recall_at_k

VECTORS = clustered_vectors(3000, 16)
QUERIES = queries_near(VECTORS, 100, seed=3)


@pytest.fixture(scope="module")
def equal_vectors() -> Vectors:
    """60 different vectors, about 83 of each: groups that link to themselves only."""
    rng = np.random.default_rng(0)
    return unit(rng.normal(size=(60, 16)))[rng.integers(0, 60, size=5000)]


def islands(vectors: Vectors) -> HnswIndex:
    index = HnswConfig(M=8, ef_construction=40, ef=10).build(vectors, threads=1)
    assert isinstance(index, HnswIndex)
    return index


@pytest.mark.parametrize("batch", [1, 7, 300])
def test_a_search_that_ends_on_an_island_is_answered_exactly(
    equal_vectors: Vectors, batch: int, caplog: pytest.LogCaptureFixture
) -> None:
    index = islands(equal_vectors)
    queries = np.resize(np.unique(equal_vectors, axis=0), (300, 16))
    with caplog.at_level(logging.WARNING):
        found = [index.search(queries[at : at + batch], 100) for at in range(0, 300, batch)]
    assert 0 < index.exact_answers < 150
    assert [record.message for record in caplog.records] == ["graph has islands"]
    scores = np.concatenate([scores for _, scores in found])
    labels = np.concatenate([labels for labels, _ in found])
    np.testing.assert_allclose(
        scores, np.einsum("bkd,bd->bk", equal_vectors[labels], queries), atol=1e-6
    )
    _, truth = ExactConfig().build(equal_vectors).search(queries, 100)
    exact = np.isclose(scores, truth, atol=1e-6).all(axis=1).sum()
    assert exact >= index.exact_answers


def test_no_ef_leads_off_an_island(equal_vectors: Vectors) -> None:
    index = islands(equal_vectors)
    queries = np.unique(equal_vectors, axis=0)
    counts = []
    for ef in (10, 5000):
        index = index.with_ef(ef)
        index.search(queries, 100)
        counts.append(index.exact_answers)
    assert counts[0] == counts[1] > 0


@pytest.mark.parametrize(("poor", "rich"), [({"ef": 1}, {"ef": 200}), ({"M": 2}, {"M": 16})])
def test_ef_and_m_raise_recall(poor: dict[str, int], rich: dict[str, int]) -> None:
    assert measured({"M": 4, "ef": 20, **rich}) > measured({"M": 4, "ef": 20, **poor}) + 0.02


def test_ef_construction_raises_recall() -> None:
    poor = measured({"M": 8, "ef": 20, "ef_construction": 8})
    assert measured({"M": 8, "ef": 20, "ef_construction": 200}) > poor + 0.02


def test_another_seed_builds_another_graph(tmp_path: Path) -> None:
    digests = {
        HnswConfig(seed=seed).build(VECTORS, threads=1).save(tmp_path / "index") for seed in (1, 2)
    }
    assert len(digests) == 2


def test_ef_is_that_of_the_settings_after_a_load(tmp_path: Path) -> None:
    digest = HnswConfig(M=4).build(VECTORS).save(tmp_path / "index")
    recalls = []
    for ef in (1, 300):
        settings = HnswConfig(M=4, ef=ef)
        index = settings.load(tmp_path / "index", sha256=digest, vectors=VECTORS)
        recalls.append(recall(index))
    assert recalls[1] > recalls[0] + 0.02


def test_a_file_built_with_another_m_is_refused(tmp_path: Path) -> None:
    digest = HnswConfig(M=8).build(VECTORS[:20]).save(tmp_path / "index")
    with pytest.raises(BundleError, match="'M': 8.*expected.*'M': 16"):
        HnswConfig().load(tmp_path / "index", sha256=digest, vectors=VECTORS[:20])


@pytest.mark.parametrize("label", [0, 20, 2**40, 2**64 - 1])
def test_a_file_of_other_labels_is_refused(tmp_path: Path, label: int) -> None:
    path = tmp_path / "index"
    HnswConfig().build(VECTORS[:20], threads=1).save(path)
    whole = bytearray(path.read_bytes())
    _, _, _, element_bytes, label_at, *_ = HEADER.unpack(whole[: HEADER.size])
    place = HEADER.size + 7 * element_bytes + label_at
    assert whole[place : place + 8] == (7).to_bytes(8, "little")
    whole[place : place + 8] = label.to_bytes(8, "little")
    path.write_bytes(whole)
    with pytest.raises(BundleError, match="expected each of 20 labels once"):
        HnswConfig().load(path, sha256=sha256_of(path), vectors=VECTORS[:20])


@pytest.mark.parametrize("cut", [1, 4000, 7000])
def test_a_file_that_ends_too_soon_is_refused(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "index"
    HnswConfig().build(VECTORS[:20], threads=1).save(path)
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(BundleError, match="index file"):
        HnswConfig().load(path, sha256=sha256_of(path), vectors=VECTORS[:20])


@pytest.mark.parametrize(
    "options", [{"M": 1}, {"M": 129}, {"ef": 0}, {"ef_construction": 7}, {"seed": -1}]
)
def test_settings_that_break_the_library_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(ValidationError, match=next(iter(options))):
        HnswConfig.model_validate(options)


def measured(options: dict[str, int]) -> float:
    return recall(HnswConfig.model_validate(options).build(VECTORS, threads=1))


def recall(index: object) -> float:
    assert isinstance(index, HnswIndex)
    _, truth = ExactConfig().build(VECTORS).search(QUERIES, 10)
    return recall_at_k(index.search(QUERIES, 10)[1], truth)


@pytest.mark.parametrize("room", [0, 3000])
def test_vectors_added_in_parts_are_found_as_if_built_at_once(room: int) -> None:
    config = HnswConfig(ef=150)
    index = config.empty(16, room)
    for start in (0, 7, 1200):
        end = {0: 7, 7: 1200}.get(start, 3000)
        index = index.with_more(VECTORS[start:end])
    assert len(index) == 3000
    once = config.build(VECTORS, threads=1)
    labels, scores = index.search(QUERIES, 100)
    expected, expected_scores = once.search(QUERIES, 100)
    assert np.array_equal(labels, expected)
    assert np.array_equal(scores, expected_scores)


def test_an_index_keeps_its_ef_when_more_is_added() -> None:
    index = HnswConfig(ef=20).empty(16, 10).with_ef(77).with_more(VECTORS[:10])
    assert index.ef == 77


def test_a_vector_that_is_not_of_unit_length_is_not_added() -> None:
    index = HnswConfig().empty(16, 10)
    with pytest.raises(VectorError):
        index.with_more(2 * VECTORS[:3])
    assert len(index.with_more(VECTORS[:3])) == 3
