"""Behind right checksums: files that somebody made are refused in our words, or end one process."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest

from export.contract.errors import BundleError
from export.embedder import open_bundle
from export.index.cached import open_index
from service.rollout.bundles import list_bundles
from service.snapshot import SnapshotError, Snapshots
from service.snapshot.format import read_snapshot
from tests.fuzz.files import resigned, try_folders
from tests.service.snapshot.made import changed_generation, write_snapshot
from tests.tiny import tiny_bundle
from tests.tiny_ranker import tiny_ranker

FOLDERS = 12
SEED = 1


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return tiny_bundle(tmp_path / "bundles", items=2100, ranker=tiny_ranker)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def without_codes(path: Path) -> None:
    path.write_text(json.dumps(json.loads(path.read_bytes()) | {"codes": []}))


def headless(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:10] + b"(" * 118 + data[128:])


def endless(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:128].replace(b"(2100, 8), ", b"(99999999,)") + data[128:])


FORGED: dict[str, tuple[str, Callable[[Path], None]]] = {
    "an index that is cut": ("index/main.bin", cut),
    "recorded codes of no item": ("golden.json", without_codes),
    "an array whose head is no Python": ("vectors.npy", headless),
    "an array of another shape": ("vectors.npy", endless),
}


@pytest.mark.parametrize("name", FORGED)
def test_a_member_that_was_made_up_is_refused_though_its_checksum_is_right(
    bundle: Path, name: str
) -> None:
    member, forge = FORGED[name]
    forge(bundle / member)
    resigned(bundle)
    with pytest.raises(BundleError, match=member.partition(".")[0]):
        open_index(open_bundle(bundle)[0])


def test_a_manifest_that_is_nested_deeper_than_it_can_be_read_is_listed_with_its_fault(
    bundle: Path,
) -> None:
    (bundle / "manifest.json").write_text("[" * 100_000)
    [listed] = list_bundles(bundle.parent)
    assert listed.fault is not None


@pytest.mark.parametrize("column", ["record", "vector"])
def test_a_table_of_another_shape_is_no_snapshot_though_its_checksum_is_right(
    tmp_path: Path, column: str
) -> None:
    generation = changed_generation()
    folder = write_snapshot(Snapshots(tmp_path, 2), generation)
    table = pyarrow.parquet.read_table(folder / "items.parquet")
    at = table.column_names.index(column)
    nothing = pa.nulls(len(table), pa.string())
    pyarrow.parquet.write_table(table.set_column(at, column, nothing), folder / "items.parquet")
    resigned(folder)
    with pytest.raises(SnapshotError):
        read_snapshot(folder, generation.bundle)


def test_changed_bundles_and_snapshots_end_no_process_of_ours(tmp_path: Path, bundle: Path) -> None:
    snapshot = write_snapshot(Snapshots(tmp_path / "snapshots", 2), changed_generation())
    cases = ((bundle, "tests.faults.bundle_opener"), (snapshot, "tests.faults.opener"))
    for whole, module in cases:
        until_s = time.monotonic() + 60
        opened = try_folders(whole, tmp_path / "changed", module, SEED, until_s, FOLDERS)
        assert opened.folders == FOLDERS
        assert not opened.defects
        assert opened.said["refused"]
