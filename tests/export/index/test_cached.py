"""The index of a bundle: its file where it has one, else built from the vectors."""

from pathlib import Path

import numpy as np
import pytest

from export.contract.bundle import BundleLayout, read_bundle
from export.contract.errors import BundleError
from export.index.cached import open_index
from export.index.exact import ExactIndex
from export.index.hnsw import HnswConfig, HnswIndex
from tests.export.forged import sign


def with_index(bundle: Path, settings: dict[str, object]) -> None:
    sign(bundle)
    report = read_bundle(bundle).manifest.index.model_copy(update={"settings": settings})
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


def test_file_is_opened_and_nothing_built(spoilt: Path) -> None:
    path = BundleLayout(spoilt).index
    other = np.roll(read_bundle(spoilt).vectors, 1, axis=0)
    path.parent.mkdir()
    HnswConfig(M=4).build(other).save(path)
    with_index(spoilt, {"kind": "hnsw", "M": 4})
    labels, _ = open_index(read_bundle(spoilt)).search(other[7:8], 1)
    assert np.allclose(other[labels[0, 0]], other[7], atol=1e-5)


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
