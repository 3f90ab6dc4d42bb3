"""The folder of bundles: what is found there, and that a bundle gets in whole or not at all."""

import errno
import multiprocessing
import os
import shutil
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

import pytest

from export.contract.bundle import BundleLayout, read_manifest
from export.contract.errors import BundleError
from service.rollout.bundles import (
    WORKSHOP,
    bundle_to_serve,
    find_bundle,
    list_bundles,
    offered_version,
    publish,
)
from service.rollout.pointer_store import activate_first
from service.settings import Settings
from tests.tiny import tiny_bundle

MOST_STEPS = 200


@pytest.fixture
def settings(redis_url: str, tmp_path: Path) -> Settings:
    return Settings(redis=redis_url, bundles=tmp_path / "bundles")


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of another version, some of whose tables lie in files of their own."""
    return tiny_bundle(tmp_path_factory.mktemp("large"), "large-1", large_bytes=200)


def offering(settings: Settings, bundle: Path) -> Settings:
    return settings.model_copy(update={"bundle": bundle})


def test_the_offered_bundle_is_served_while_no_version_is_current(
    settings: Settings, bundle_folder: Path
) -> None:
    assert bundle_to_serve(settings)[1] is None
    assert bundle_to_serve(offering(settings, bundle_folder))[1] == bundle_folder


def test_the_current_version_wins_over_the_offered_bundle(
    settings: Settings, bundle_folder: Path
) -> None:
    activate_first(settings, "other-7")
    assert bundle_to_serve(offering(settings, bundle_folder))[1] is None
    there = settings.bundles / "other-7"
    there.mkdir(parents=True)
    (there / "manifest.json").write_text('{"version": "other-7"}')
    assert bundle_to_serve(offering(settings, bundle_folder))[1] == there


def test_the_offered_bundle_is_found_by_its_version_wherever_it_lies(
    settings: Settings, bundle_folder: Path
) -> None:
    assert find_bundle(offering(settings, bundle_folder), "tiny-1") == bundle_folder
    assert find_bundle(offering(settings, bundle_folder), "tiny-2") is None


def test_without_redis_the_offered_bundle_is_served(tmp_path: Path, bundle_folder: Path) -> None:
    settings = Settings(redis=f"unix://{tmp_path}/none.sock", bundle=bundle_folder)
    assert bundle_to_serve(settings)[1] == bundle_folder


@pytest.mark.parametrize("manifest", [None, "", "[]", "{}", '{"version": "../x"}', '{"version": 1'])
def test_what_is_no_bundle_is_refused(tmp_path: Path, manifest: str | None) -> None:
    if manifest is not None:
        (tmp_path / "manifest.json").write_text(manifest)
    with pytest.raises(BundleError):
        offered_version(tmp_path)


def files(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def test_a_published_bundle_is_the_same_file_by_file(tmp_path: Path, large: Path) -> None:
    (copied := tmp_path / "anything").mkdir()
    shutil.copytree(large, copied, dirs_exist_ok=True)
    (copied / ".DS_Store").write_bytes(b"of a desktop")
    manifest, is_new = publish(tmp_path / "bundles", copied)
    assert (manifest.version, is_new) == ("large-1", True)
    assert files(tmp_path / "bundles" / "large-1") == files(large)
    assert list((tmp_path / "bundles" / WORKSHOP).iterdir()) == []


def test_a_version_that_is_there_stays_as_it_is(tmp_path: Path, bundle_folder: Path) -> None:
    for is_new in (True, False):
        assert publish(tmp_path, bundle_folder)[1] is is_new
    assert publish(tmp_path, tmp_path / "tiny-1")[1] is False
    before = files(tmp_path / "tiny-1")
    other = tiny_bundle(tmp_path / "other", items=41)
    with pytest.raises(BundleError, match=r"tiny-1: is there with another manifest"):
        publish(tmp_path, other)
    assert files(tmp_path / "tiny-1") == before


def test_a_version_that_is_there_and_damaged_is_told(tmp_path: Path, bundle_folder: Path) -> None:
    publish(tmp_path, bundle_folder)
    BundleLayout(tmp_path / "tiny-1").vectors.write_bytes(b"")
    with pytest.raises(BundleError, match=r"member vectors\.npy has changed"):
        publish(tmp_path, bundle_folder)


def test_a_folder_without_a_manifest_is_not_overwritten(
    tmp_path: Path, bundle_folder: Path
) -> None:
    (tmp_path / "tiny-1").mkdir()
    with pytest.raises(BundleError, match=r"tiny-1: no bundle here"):
        publish(tmp_path, bundle_folder)


def test_a_bundle_that_cannot_be_served_is_not_published(
    tmp_path: Path, bundle_folder: Path
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(bundle_folder, broken)
    golden = BundleLayout(broken).golden
    golden.write_bytes(golden.read_bytes() + b" ")
    with pytest.raises(BundleError, match=r"golden\.json"):
        publish(tmp_path / "bundles", broken)
    assert list_bundles(tmp_path / "bundles") == []


def test_publishers_of_one_version_wait_for_each_other(tmp_path: Path, bundle_folder: Path) -> None:
    start = threading.Barrier(3)
    news: list[bool] = []

    def race() -> None:
        start.wait()
        news.append(publish(tmp_path, bundle_folder)[1])

    threads = [threading.Thread(target=race) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(news) == [False, False, True]
    assert files(tmp_path / "tiny-1") == files(bundle_folder)


def test_versions_are_listed_by_name_and_nothing_else(tmp_path: Path, bundle_folder: Path) -> None:
    assert list_bundles(tmp_path / "none") == []
    publish(tmp_path, bundle_folder)
    shutil.copytree(bundle_folder, tmp_path / "a-copy")
    (tmp_path / "half").mkdir()
    (tmp_path / ".tiny-2.abcdefgh").mkdir()
    (tmp_path / "users.parquet").touch()
    copied, half, tiny = list_bundles(tmp_path)
    assert (copied.version, copied.items) == ("a-copy", None)
    assert "names version 'tiny-1', but its folder is 'a-copy'" in str(copied.fault)
    assert "half: no bundle here" in str(half.fault)
    assert (tiny.version, tiny.items, tiny.fault) == ("tiny-1", 40, None)
    assert tiny.created == read_manifest(bundle_folder).lineage.exported_at
    assert tiny.size_bytes == sum(map(len, files(bundle_folder).values()))


Failure = Callable[[], None]


def arm(patch: Callable[[str, Any], None], nth: int, fail: Failure) -> Callable[[], int]:
    """Make the nth step of this process that changes a disk fail; return how many were made.

    Steps are writes of a copy (half of it is written then), flushes, renames and new folders.
    """
    made, make_folder = 0, os.mkdir

    def failing(real: Any, halve: bool) -> Any:
        def step(*given: Any, **named: Any) -> Any:
            nonlocal made
            if real is make_folder and Path(given[0]).exists():
                return real(*given, **named)
            made += 1
            if made == nth:
                if halve:
                    out, source, offset, count = given
                    real(out, source, offset, max(1, os.fstat(source).st_size // 2))
                fail()
            return real(*given, **named)

        return step

    for name in ("sendfile", "fsync", "rename", "mkdir"):
        patch(name, failing(getattr(os, name), halve=name == "sendfile"))
    return lambda: made


def kill() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def full() -> NoReturn:
    raise OSError(errno.ENOSPC, "No space left on device")


def publish_and_die(bundles: Path, source: Path, nth: int) -> None:
    arm(lambda name, step: setattr(os, name, step), nth, kill)
    publish(bundles, source)


def check_whole_or_absent(bundles: Path, source: Path) -> bool:
    """Check that all that is listed is whole; say whether the new version is."""
    for one in list_bundles(bundles):
        assert one.fault is None
        read_manifest(bundles / one.version)
    new = bundles / read_manifest(source).version
    assert not new.exists() or files(new) == files(source)
    return new.exists()


def test_a_publish_that_is_killed_at_any_step_leaves_the_old_or_the_whole_new(
    tmp_path: Path, bundle_folder: Path, large: Path
) -> None:
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload([__name__, "service.rollout.bundles"])
    bundles = tmp_path / "bundles"
    publish(bundles, bundle_folder)
    outcomes = []
    for nth in range(1, MOST_STEPS):
        process = processes.Process(target=publish_and_die, args=(bundles, large, nth))
        process.start()
        process.join(120)
        assert process.exitcode in (0, -signal.SIGKILL)
        outcomes.append((process.exitcode, check_whole_or_absent(bundles, large)))
        assert publish(bundles, large)[1] is not outcomes[-1][1]
        assert list((bundles / WORKSHOP).iterdir()) == []
        assert check_whole_or_absent(bundles, large)
        shutil.rmtree(bundles / "large-1")
        if process.exitcode == 0:
            break
    killed = len(outcomes) - 1
    assert outcomes[-1] == (0, True)
    assert killed > 3 * len(files(large)) - 3  # each member is written and flushed
    assert outcomes[killed - 1] == (-signal.SIGKILL, True)  # before the folder was flushed
    assert [is_there for _, is_there in outcomes[: killed - 1]] == [False] * (killed - 1)


def test_a_publish_that_fails_at_any_step_says_so_and_leaves_nothing_half(
    tmp_path: Path, bundle_folder: Path, large: Path
) -> None:
    bundles = tmp_path / "bundles"
    publish(bundles, bundle_folder)
    for nth in range(1, MOST_STEPS):
        with pytest.MonkeyPatch.context() as patch:
            made = arm(lambda name, step: patch.setattr(os, name, step), nth, full)
            with suppress(OSError, BundleError):
                publish(bundles, large)
                assert made() < nth, "it failed, and nobody was told"
        check_whole_or_absent(bundles, large)
        assert list((bundles / WORKSHOP).iterdir()) == []
        if made() < nth:
            break
        shutil.rmtree(bundles / "large-1", ignore_errors=True)
    assert nth > 2 * len(files(large))


def test_the_copy_is_on_the_disk_before_its_name_and_the_name_before_it_is_told(
    tmp_path: Path, bundle_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flush, flushed = os.fsync, []

    def noted(descriptor: int) -> None:
        flush(descriptor)
        flushed.append((Path(f"/proc/self/fd/{descriptor}").readlink(), target.exists()))

    target = tmp_path.resolve() / "tiny-1"
    monkeypatch.setattr(os, "fsync", noted)
    publish(tmp_path, bundle_folder)
    before = {path.name for path, is_there in flushed if not is_there}
    assert before >= {path.name for path in bundle_folder.rglob("*")}
    assert flushed[-1] == (tmp_path.resolve(), True)


def test_versions_that_are_removed_while_they_are_listed_are_left_out(tmp_path: Path) -> None:
    kept = tiny_bundle(tmp_path / "bundles")
    gone = [kept.with_name(f"gone-{n}") for n in range(200)]
    for one in gone:
        (one / "index").mkdir(parents=True)
        for member in ("manifest.json", "vectors.npy", "index/main.bin"):
            shutil.copy(kept / "vectors.npy", one / member)

    def remove() -> None:
        for one in reversed(gone):
            shutil.rmtree(one)

    removing = threading.Thread(target=remove)
    removing.start()
    found = [list_bundles(kept.parent) for _ in iter(removing.is_alive, False)]
    removing.join()
    assert len(found) > 1
    assert all(listed[-1].version == kept.name for listed in found)
    assert [one.version for one in list_bundles(kept.parent)] == [kept.name]
