"""The index of a bundle: its file where it has one, else built from the vectors."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from export.contract.bundle import BundleLayout, read_bundle
from export.contract.errors import BundleError
from export.index.base import Vectors
from export.index.cached import open_index
from export.index.clustered import clustered_vectors
from export.index.exact import ExactIndex
from export.index.hnsw import HnswConfig, HnswIndex
from tests.export.forged import sign
from tests.tiny import tiny_bundle


def with_index(bundle: Path, settings: dict[str, object], k: int = 5) -> None:
    sign(bundle)
    update = {"settings": settings, "k": k}
    report = read_bundle(bundle).manifest.index.model_copy(update=update)
    sign(bundle, index=report.model_dump(mode="json"))


def test_index_without_a_file_is_built(tiny: Path) -> None:
    bundle = read_bundle(tiny)
    index = open_index(bundle)
    assert isinstance(index, ExactIndex)
    assert index.search(bundle.vectors, 1)[1][:, 0] == pytest.approx(1, abs=1e-5)


def test_settings_decide_what_is_built(spoilt: Path) -> None:
    with_index(spoilt, {"kind": "hnsw", "M": 4})
    assert isinstance(open_index(read_bundle(spoilt)), HnswIndex)


@pytest.mark.parametrize("settings", [{}, {"kind": "flat"}, {"kind": "hnsw", "M": 1}])
def test_bad_settings_are_refused(spoilt: Path, settings: dict[str, object]) -> None:
    with_index(spoilt, settings)
    with pytest.raises(BundleError, match=r"manifest\.json: index\.settings: "):
        open_index(read_bundle(spoilt))


def with_file(bundle: Path, vectors: Vectors, settings: dict[str, object]) -> None:
    path = BundleLayout(bundle).index
    path.parent.mkdir()
    HnswConfig.model_validate(settings).build(vectors).save(path)
    with_index(bundle, settings)


def test_file_is_opened_and_nothing_built(spoilt: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = read_bundle(spoilt).vectors
    with_file(spoilt, vectors, {"kind": "hnsw", "M": 4})

    def fails(*_: object, **__: object) -> None:
        raise AssertionError("built")

    monkeypatch.setattr(HnswConfig, "build", fails)
    labels, _ = open_index(read_bundle(spoilt)).search(vectors[7:8], 1)
    assert np.allclose(vectors[labels[0, 0]], vectors[7], atol=1e-5)


def test_an_index_that_finds_less_than_its_target_is_refused(spoilt: Path) -> None:
    """Each file is whole, has the checksum that the manifest tells, and vectors of its own."""
    others = np.roll(read_bundle(spoilt).vectors, 1, axis=0)
    with_file(spoilt, others, {"kind": "hnsw", "M": 4})
    with pytest.raises(BundleError, match=r"index: recall@\d+ of 32 searches is 0\.\d+, expected"):
        open_index(read_bundle(spoilt))
    report = read_bundle(spoilt).manifest.index
    sign(spoilt, index=report.model_copy(update={"k": 40}).model_dump(mode="json"))
    open_index(read_bundle(spoilt))  # all of them are found, whatever they are called


def test_a_graph_that_is_searched_too_narrowly_is_refused(tmp_path: Path) -> None:
    bundle = tiny_bundle(tmp_path, items=20)
    many = clustered_vectors(5000, 8)
    read = read_bundle(bundle)
    narrow = {"kind": "hnsw", "M": 2, "ef_construction": 10, "ef": 10}
    report = read.manifest.index.model_copy(update={"settings": narrow, "k": 10})
    manifest = read.manifest.model_copy(update={"index": report})
    with pytest.raises(BundleError, match="recall@10"):
        open_index(replace(read, manifest=manifest, vectors=many))


def test_file_changed_after_the_bundle_was_read_is_refused(spoilt: Path) -> None:
    path = BundleLayout(spoilt).index
    path.parent.mkdir()
    HnswConfig(M=4).build(read_bundle(spoilt).vectors).save(path)
    with_index(spoilt, {"kind": "hnsw", "M": 4})
    bundle = read_bundle(spoilt)
    path.write_bytes(path.read_bytes()[:-1] + b"\x7f")
    with pytest.raises(BundleError, match="SHA-256"):
        open_index(bundle)


def test_file_of_other_settings_is_refused(spoilt: Path) -> None:
    path = BundleLayout(spoilt).index
    path.parent.mkdir()
    HnswConfig(M=4).build(read_bundle(spoilt).vectors[:30]).save(path)
    with_index(spoilt, {"kind": "hnsw", "M": 4})
    with pytest.raises(BundleError, match="main.bin: holds"):
        open_index(read_bundle(spoilt))
