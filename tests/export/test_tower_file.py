"""Towers whose large tables lie in a data file: the same vectors, and nothing else is read."""

import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest

from export.bundling import export_run
from export.contract.bundle import BundleLayout
from export.contract.errors import BundleError
from export.contract.manifest import read_manifest
from export.contract.run import RunLayout
from export.contract.side import SIDES, SideName
from export.embedder import open_bundle
from export.golden import invented
from export.offline import recall_file
from tests.export.forged import copied, edit_json, sign
from tests.once import once
from tests.tiny import tiny_bundle
from training.subject import BundleTowers

LARGE = 300  # bytes, so that most tables of these small towers are large


def export_apart(run: RunLayout, target: Path) -> None:
    """Export a run as if its tables were large."""
    told: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("export.onnx.LARGE_TABLE", LARGE)
        export_run(run.folder, target, on_note=told.append)
    (target.parent / f"{target.name}.told").write_text("\n".join(told))


@pytest.fixture(scope="module")
def apart(run: RunLayout, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of a real run, its large tables in data files; nobody may change it."""
    return once(tmp_path_factory, "apart-1", lambda target: export_apart(run, target))


@pytest.fixture
def own(apart: Path, tmp_path: Path) -> Path:
    """Such a bundle of one's own."""
    return copied(apart, tmp_path)


def tables(path: Path) -> dict[str, onnx.TensorProto]:
    model = onnx.load(path, load_external_data=False)
    return {one.name: one for one in model.graph.initializer}


@pytest.mark.parametrize("side", SIDES)
def test_large_tables_and_no_others_lie_in_the_data_file(apart: Path, side: SideName) -> None:
    layout = BundleLayout(apart)
    assert layout.tower_data(side).name in read_manifest(apart).checksums
    sizes = {
        name: 4 * int(np.prod(one.dims)) if one.data_type == onnx.TensorProto.FLOAT else 0
        for name, one in tables(layout.tower(side)).items()
    }
    outside = {name for name, one in tables(layout.tower(side)).items() if one.external_data}
    assert outside == {name for name, size in sizes.items() if size >= LARGE}
    assert 2 <= len(outside) < len(sizes)
    held = layout.tower_data(side).stat().st_size
    assert sum(sizes[name] for name in outside) <= held < len(outside) * 4096 + sum(sizes.values())


@pytest.mark.parametrize("side", SIDES)
def test_vectors_are_those_of_one_file_bit_for_bit(
    apart: Path, exported: Path, side: SideName
) -> None:
    (whole, one), (parted, other) = open_bundle(exported), open_bundle(apart)
    np.testing.assert_array_equal(parted.vectors, whole.vectors)
    records = invented(whole.schema, side, 70)
    np.testing.assert_array_equal(other.embed(side, records), one.embed(side, records))
    measured = BundleTowers(parted.layout).embed(side, records)
    np.testing.assert_allclose(measured, one.embed(side, records), atol=1e-6)


def test_recall_without_a_service_is_the_same(
    apart: Path, exported: Path, run: RunLayout, tmp_path: Path
) -> None:
    found = [tmp_path / "one.csv", tmp_path / "other.csv"]
    for bundle, out in zip((exported, apart), found, strict=True):
        recall_file(bundle, run.users, 10, out)
    assert found[0].read_bytes() == found[1].read_bytes()


def test_parity_is_proven_and_the_export_tells_what_lies_beside(
    apart: Path, exported: Path
) -> None:
    assert (apart / "parity.json").read_bytes() == (exported / "parity.json").read_bytes()
    told = (apart.parent / f"{apart.name}.told").read_text()
    for side in SIDES:
        assert f"{side} tower: 0 MiB of tables lie in a data file beside it" in told


def test_an_ordinary_bundle_has_no_data_file(exported: Path) -> None:
    members = read_manifest(exported).checksums
    assert not [name for name in members if name.endswith(".data")]
    for side in SIDES:
        held = tables(BundleLayout(exported).tower(side)).values()
        assert not any(one.external_data for one in held)


def test_a_lifted_tower_may_have_a_data_file_too(tmp_path: Path) -> None:
    whole = tiny_bundle(tmp_path, "whole-1", largest_norm=1.5)
    parted = tiny_bundle(tmp_path, "parted-1", largest_norm=1.5, large_bytes=200)
    assert BundleLayout(parted).tower_data("item").is_file()
    (one, _), (other, _) = open_bundle(whole), open_bundle(parted)
    np.testing.assert_array_equal(one.vectors, other.vectors)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("harm", ["flip", "cut", "grow", "swap"])
def test_a_changed_data_file_is_refused_by_name(own: Path, side: SideName, harm: str) -> None:
    path = BundleLayout(own).tower_data(side)
    content = bytearray(path.read_bytes())
    if harm == "flip":
        content[len(content) // 2] ^= 1
    elif harm == "cut":
        del content[-1:]
    elif harm == "grow":
        content.append(0)
    else:
        content[:] = BundleLayout(own).tower_data("item" if side == "user" else "user").read_bytes()
    path.write_bytes(content)
    with pytest.raises(BundleError, match=rf"member {side}_tower\.onnx\.data has changed"):
        open_bundle(own)


def test_a_missing_data_file_is_refused_by_name(own: Path) -> None:
    BundleLayout(own).tower_data("item").unlink()
    with pytest.raises(BundleError, match=r"member item_tower\.onnx\.data is missing"):
        open_bundle(own)
    sign(own)
    with pytest.raises(BundleError, match=r"manifest\.json: checksums: lists no item_tower\.onnx"):
        open_bundle(own)


def test_a_data_file_that_is_too_short_is_refused_though_signed(own: Path) -> None:
    path = BundleLayout(own).tower_data("user")
    path.write_bytes(path.read_bytes()[:-500])
    sign(own)
    with pytest.raises(BundleError, match=r"user_tower\.onnx: "):
        open_bundle(own)


def test_a_data_file_that_the_manifest_forgets_is_refused(own: Path) -> None:
    def forget(manifest: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
        del manifest["checksums"]["user_tower.onnx.data"]
        return manifest

    edit_json(own / "manifest.json", forget)
    with pytest.raises(BundleError, match=r"user_tower\.onnx\.data is none of its members"):
        open_bundle(own)


@pytest.mark.parametrize("name", ["../outside", ".hidden", "sub/data", "item_tower.onnx.data"])
def test_tables_anywhere_else_are_refused(own: Path, name: str) -> None:
    """Inside or outside the bundle, there or not, whether or not the file would do."""
    layout = BundleLayout(own)
    (own / "sub").mkdir()
    if name != layout.tower_data("item").name:
        shutil.copy(layout.tower_data("user"), own / name)
    model = onnx.load(layout.tower("user"), load_external_data=False)
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            entry.value = name if entry.key == "location" else entry.value
    layout.tower("user").write_bytes(model.SerializeToString())
    sign(own)
    with pytest.raises(BundleError, match=rf"user_tower\.onnx: reads '{name}'; a tower reads no"):
        open_bundle(own)


def test_a_data_file_that_is_a_link_to_the_outside_is_refused(own: Path) -> None:
    path = BundleLayout(own).tower_data("user")
    moved = path.rename(own.parent / "moved")
    path.symlink_to(moved)
    with pytest.raises(BundleError, match=r"'user_tower\.onnx\.data' lies outside the bundle"):
        open_bundle(own)
