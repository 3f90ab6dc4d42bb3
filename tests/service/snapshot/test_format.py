import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet
import pytest

import service.snapshot.format as module
from service.processes.preparation import restore
from service.records import stored_item
from service.snapshot import SnapshotError, Snapshots
from service.snapshot.format import read_snapshot
from tests.service.made import made_generation, unit_vectors
from tests.service.snapshot.made import EPOCH, assert_same, changed_generation, write_snapshot
from tests.tiny import DIM


@pytest.mark.parametrize(("slices", "group"), [(1, 1), (3, 4), (3, 100), (100, 100)])
def test_a_snapshot_restores_every_change_exactly(
    tmp_path: Path, slices: int, group: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ROW_GROUP", group)
    generation = changed_generation()
    write_snapshot(Snapshots(tmp_path, 2), generation, slices)
    new = made_generation(unit_vectors(5, seed=1))
    restore(new, Snapshots(tmp_path, 2), EPOCH)
    assert_same(new, generation)
    assert new.position == generation.position
    assert "é/0" not in new
    assert "i1" not in new
    assert new.highest_rev == generation.highest_rev


def test_a_snapshot_without_changes_restores_its_place(tmp_path: Path) -> None:
    generation = made_generation(unit_vectors(5, seed=1))
    generation.position = changed_generation().position
    write_snapshot(Snapshots(tmp_path, 2), generation)
    new = made_generation(unit_vectors(5, seed=1))
    restore(new, Snapshots(tmp_path, 2), EPOCH)
    assert (new.position, new.changes) == (generation.position, 0)


def test_a_snapshot_can_be_opened_and_checked_by_hand(tmp_path: Path) -> None:
    generation = changed_generation()
    folder = write_snapshot(Snapshots(tmp_path, 2), generation)
    assert sorted(path.name for path in folder.iterdir()) == [
        *("SHA256SUMS", "items.parquet", "manifest.json")
    ]
    checked = subprocess.run(
        ["sha256sum", "-c", "SHA256SUMS"], cwd=folder, capture_output=True, text=True, check=True
    )
    assert checked.stdout.splitlines() == ["items.parquet: OK", "manifest.json: OK"]
    manifest = json.loads((folder / "manifest.json").read_text())
    assert (manifest["version"], manifest["cursor"]) == ("made-1", "1009-0")
    assert (manifest["checksum"], manifest["items"]) == (generation.checksum, 11)
    table = pyarrow.parquet.read_table(folder / "items.parquet")
    assert table.column_names == ["id", "rev", "op", "record", "vector"]
    [row] = [row for row in table.to_pylist() if row["id"] == "i2"]
    item = generation.change("i2")
    assert item is not None
    assert (row["rev"], row["op"], len(row["vector"])) == (12, "put", DIM)
    assert row["record"].encode() == stored_item(item)


def test_a_snapshot_of_another_bundle_of_that_version_is_refused(tmp_path: Path) -> None:
    generation = changed_generation()
    folder = write_snapshot(Snapshots(tmp_path, 2), generation)
    bundle = generation.bundle
    other = bundle.manifest.model_copy(update={"checksums": {"vectors.npy": "0" * 64}})
    with pytest.raises(SnapshotError, match="another bundle"):
        read_snapshot(folder, replace(bundle, manifest=other))


@pytest.mark.parametrize("name", ["items.parquet", "manifest.json", "SHA256SUMS"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    generation = changed_generation()
    folder = write_snapshot(Snapshots(tmp_path, 2), generation)
    (folder / name).unlink()
    with pytest.raises(SnapshotError, match=name):
        read_snapshot(folder, generation.bundle)
