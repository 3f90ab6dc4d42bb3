"""Writing a bundle is cut off at every step, and by a disk that is full at any byte: old or whole.

What was there stays; the new version is there whole or not at all, and the failure is told.
"""

import multiprocessing
import os
import resource
import signal
from contextlib import suppress
from pathlib import Path

import pytest

from export.contract.errors import BundleError
from export.embedder import open_bundle
from service.rollout.bundles import list_bundles
from tests.service.rollout.test_bundles import MOST_STEPS, arm, files, full, kill
from tests.tiny import tiny_bundle

MANY = 2100  # enough for an index file
TOLD, OTHERWISE = 3, 4
"""Exit codes of a child: the disk's error was told, or something else was."""


def write(bundles: Path, items: int = 20) -> Path:
    return tiny_bundle(bundles, "new-1", items=items, large_bytes=200)


def write_and_die(bundles: Path, nth: int) -> None:
    arm(lambda name, step: setattr(os, name, step), nth, kill)
    write(bundles)


def write_to_a_full_disk(bundles: Path, most_bytes: int) -> None:
    """Write where no file may be larger than so many bytes, whoever writes it."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))
    try:
        write(bundles, MANY)
    except (OSError, BundleError):
        os._exit(TOLD)
    except BaseException:
        os._exit(OTHERWISE)


@pytest.fixture
def bundles(tmp_path: Path) -> Path:
    """A folder with a version that is served."""
    tiny_bundle(tmp_path, "old-1")
    return tmp_path


def is_there_whole(bundles: Path) -> bool:
    """Check that all that is there can be served, and say whether the new version is."""
    versions = list_bundles(bundles)
    assert [one.fault for one in versions] == [None] * len(versions)
    for one in versions:
        open_bundle(bundles / one.version)
    names = [one.version for one in versions]
    assert names in (["old-1"], ["new-1", "old-1"])
    return "new-1" in names


def run(target: object, *arguments: object) -> int:
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload([__name__])
    child = processes.Process(target=target, args=arguments)  # type: ignore[arg-type]
    child.start()
    child.join(120)
    assert child.exitcode is not None
    return child.exitcode


def test_an_export_that_is_killed_at_any_step_leaves_the_old_or_the_whole_new(
    bundles: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    members = files(write(tmp_path_factory.mktemp("whole")))
    outcomes = []
    for nth in range(1, MOST_STEPS):
        code = run(write_and_die, bundles, nth)
        assert code in (0, -signal.SIGKILL)
        outcomes.append((code, is_there_whole(bundles)))
        if code == 0:
            break
        if outcomes[-1][1]:
            (bundles / "new-1").rename(bundles / f".seen-{nth}")
    killed = [was for code, was in outcomes if code]
    assert outcomes[-1] == (0, True)
    assert len(killed) > len(members)  # each member is flushed
    assert killed[-1]  # before the folder was flushed, and after it had its name
    assert not any(killed[:-1])


def test_an_export_that_fails_at_any_step_says_so_and_leaves_nothing_half(bundles: Path) -> None:
    for nth in range(1, MOST_STEPS):
        with pytest.MonkeyPatch.context() as patch:
            made = arm(lambda name, step: patch.setattr(os, name, step), nth, full)
            with suppress(OSError, BundleError):
                write(bundles)
                assert made() < nth, "it failed, and nobody was told"
        is_there = is_there_whole(bundles)
        assert not [path for path in bundles.iterdir() if path.name.startswith(".new-1")]
        if made() < nth:
            assert is_there
            break
        if is_there:  # only the flush of the folder failed
            (bundles / "new-1").rename(bundles / f".seen-{nth}")
    assert nth > 10


def test_a_disk_that_is_full_at_any_byte_is_told_and_leaves_nothing_half(
    bundles: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    whole = write(tmp_path_factory.mktemp("whole"), MANY)
    sizes = {path: path.stat().st_size for path in whole.rglob("*") if path.is_file()}
    limits = {0, *(size - 1 for size in sizes.values()), *(size // 2 for size in sizes.values())}
    enough = 2 * max(sizes.values())  # a graph that threads build differs in size
    for limit in sorted(one for one in limits if one >= 0):
        assert run(write_to_a_full_disk, bundles, limit) == TOLD, f"limit {limit}"
        assert not is_there_whole(bundles)
        assert not [path for path in bundles.iterdir() if path.name.startswith(".new-1")]
    assert run(write_to_a_full_disk, bundles, enough) == 0
    assert is_there_whole(bundles)
