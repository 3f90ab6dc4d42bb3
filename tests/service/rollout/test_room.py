"""What a bundle takes is told before it is loaded, and what is left is what the machine says."""

import subprocess
import sys
from pathlib import Path

import pytest

from export.contract.errors import BundleError
from service.rollout import room
from service.rollout.room import check_room, free_bytes, needed_bytes
from tests.tiny import tiny_bundle

GROWTH = """
import sys
from pathlib import Path
import psutil
from service.generation import Generation
before = psutil.Process().memory_info().rss
generation = Generation.load(Path(sys.argv[1]))
print(psutil.Process().memory_info().rss - before)
"""


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return tiny_bundle(tmp_path, items=400)


def container(folder: Path, limit: str, used: int, cached: int) -> None:
    (folder / "memory.max").write_text(f"{limit}\n")
    (folder / "memory.current").write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon 7\ninactive_file {cached}\n")


def test_what_is_said_to_be_needed_is_about_what_a_load_takes(bundle: Path) -> None:
    command = [sys.executable, "-c", GROWTH, str(bundle)]
    grown = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert grown / 2 < needed_bytes(bundle) < 3 * grown


def test_more_items_and_larger_files_need_more(bundle: Path) -> None:
    before = needed_bytes(bundle)
    (bundle / "index").mkdir(exist_ok=True)
    (bundle / "index" / "more").write_bytes(bytes(1 << 20))
    assert needed_bytes(bundle) == before + (1 << 20)


def test_a_bundle_that_does_not_fit_is_refused_with_both_figures(bundle: Path) -> None:
    needed = needed_bytes(bundle)
    check_room(bundle, most_bytes=needed)
    with pytest.raises(BundleError, match=r"takes about \d+ MiB of memory, and 1 MiB are allowed"):
        check_room(bundle, most_bytes=1 << 20)


def test_two_bundles_need_room_for_both(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tiny_bundle(bundle.parent, "tiny-2")
    both = needed_bytes(bundle) + needed_bytes(other)
    monkeypatch.setattr(room, "free_bytes", lambda: both - 1)
    check_room(bundle)
    with pytest.raises(BundleError, match=r"take about \d+ MiB of memory, and \d+ MiB are free"):
        check_room(bundle, other)
    monkeypatch.setattr(room, "free_bytes", lambda: both)
    check_room(bundle, other)


def test_a_container_may_leave_less_than_its_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "CGROUP", tmp_path)
    of_machine = free_bytes()
    assert of_machine is not None
    container(tmp_path, "1000000", used=900_000, cached=50_000)
    assert free_bytes() == 150_000
    container(tmp_path, "max", used=900_000, cached=50_000)
    again = free_bytes()
    assert again is not None
    assert again > 150_000


def test_where_nothing_is_told_nothing_is_refused(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "CGROUP", tmp_path)
    monkeypatch.setattr(room, "MEMINFO", tmp_path / "none")
    assert free_bytes() is None
    check_room(bundle)
