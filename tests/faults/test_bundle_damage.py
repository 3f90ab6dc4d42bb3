"""Bytes flipped and files cut: no bundle that was changed is served, and none ends a process.

300 mutations by default, of every file in turn; `MUTATIONS=1000` in the environment makes so many,
`SEED` other ones. Of a bundle with a compact index only those files are changed that are read in
another way, 100 times.
"""

import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from export.contract.bundle import BundleLayout
from tests.faults.test_snapshot_damage import SEED, Opener, mutate
from tests.tiny import tiny_bundle

MUTATIONS = int(os.environ.get("MUTATIONS", "300"))
SERVED_ALIKE = {"manifest.json"}
"""No checksum covers it: one whose change says the same, or tells another date, is the same."""


@pytest.fixture(scope="module")
def opener() -> Iterator[Opener]:
    with Opener("tests.faults.bundle_opener") as opener:
        yield opener


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with every member: an index file, tables beside the towers."""
    return tiny_bundle(tmp_path_factory.mktemp("bundles"), items=2100, large_bytes=200)


def test_a_changed_bundle_is_refused_and_crashes_nothing(
    tmp_path: Path, bundle: Path, opener: Opener
) -> None:
    files = [path for path in bundle.rglob("*") if path.is_file() and path.stat().st_size]
    members = sorted(path.relative_to(bundle) for path in files)
    assert any("index" in one.parts for one in members)
    change(bundle, members, MUTATIONS, tmp_path, opener)


def test_a_changed_compact_bundle_is_refused_and_crashes_nothing(
    tmp_path: Path, opener: Opener
) -> None:
    bundle = tiny_bundle(tmp_path / "bundles", items=2100, index="compact")
    layout = BundleLayout(bundle)
    members = [path.relative_to(bundle) for path in (layout.index, layout.vectors)]
    change(bundle, members, MUTATIONS // 3, tmp_path, opener)


def change(bundle: Path, members: list[Path], times: int, tmp_path: Path, opener: Opener) -> None:
    """Change these members of copies in turn, and see each copy refused."""
    rng = random.Random(SEED)
    good = opener.open(bundle)
    assert good != "refused"
    refused = 0
    for number in range(times):
        member = members[number % len(members)]
        folder = tmp_path / str(number) / bundle.name
        shutil.copytree(bundle, folder)
        what = mutate(folder / member, rng)
        if (folder / member).read_bytes() == (bundle / member).read_bytes():
            continue  # zeros over zeros
        said = opener.open(folder)
        refused += said == "refused"
        allowed = {"refused", good} if member.name in SERVED_ALIKE else {"refused"}
        assert said in allowed, f"seed {SEED}, {member}: {what}"
        shutil.rmtree(folder)
    assert refused > 0.8 * times


def test_a_bundle_without_any_one_of_its_files_is_refused(
    tmp_path: Path, bundle: Path, opener: Opener
) -> None:
    for number, path in enumerate(sorted(bundle.rglob("*"))):
        if path.is_dir():
            continue
        folder = tmp_path / str(number) / bundle.name
        shutil.copytree(bundle, folder)
        (folder / path.relative_to(bundle)).unlink()
        assert opener.open(folder) == "refused", path.name
        shutil.rmtree(folder)
    assert opener.open(bundle) != "refused"
