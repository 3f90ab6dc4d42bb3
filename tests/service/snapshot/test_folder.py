import logging
import multiprocessing
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from service.snapshot import Snapshots
from service.store import LogId, Position
from tests.service.snapshot.made import EPOCH, VERSION, changed_generation, write_snapshot


def refused() -> float:
    return REGISTRY.get_sample_value("firstsight_snapshots_total", {"was": "refused"}) or 0.0


def test_the_newest_whole_one_of_this_log_is_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    snapshots, generation = Snapshots(tmp_path, 5), changed_generation()
    first = write_snapshot(snapshots, generation)
    second = write_snapshot(snapshots, generation)
    generation.position = Position(b"other", LogId(5, 0))
    third = write_snapshot(snapshots, generation)
    before = refused()
    found = snapshots.newest(generation.bundle, EPOCH)
    assert found is not None
    assert found.folder == second
    assert refused() == before + 1
    with (second / "items.parquet").open("ab") as file:
        file.write(b"?")
    caplog.set_level(logging.WARNING)
    caplog.clear()
    found = snapshots.newest(generation.bundle, EPOCH)
    assert found is not None
    assert found.folder == first
    reasons = [vars(record)["reason"] for record in caplog.records]
    assert [str(third) in reasons[0], "another item log" in reasons[0]] == [True, True]
    assert "items.parquet: changed since it was written" in reasons[1]
    found = snapshots.newest(generation.bundle, None)
    assert found is not None
    assert found.folder == third
    assert Snapshots(tmp_path, 0).newest(generation.bundle, EPOCH) is None


def test_only_the_newest_are_kept_and_of_other_versions_those_of_late(tmp_path: Path) -> None:
    snapshots, generation = Snapshots(tmp_path, 2), changed_generation()
    for version, ms in [("old-1", 10), ("old-2", 50), *[(VERSION, 60 + n) for n in range(4)]]:
        generation.version = version
        generation.position = Position(EPOCH, LogId(ms, 0))
        write_snapshot(snapshots, generation)
    (tmp_path / "old-1" / "00000002.unfinished").mkdir()  # whoever wrote it was killed
    (tmp_path / "old-2" / "00000002.unfinished").mkdir()
    (tmp_path / "strange").mkdir()
    snapshots.prune(VERSION, LogId(50, 0))
    told = {path.name: sorted(one.name for one in path.iterdir()) for path in tmp_path.glob("*-*")}
    assert told == {"old-2": ["00000001"], VERSION: ["00000003", "00000004"]}
    assert (tmp_path / "strange").is_dir()
    assert snapshots.numbers(VERSION) == [3, 4]
    assert snapshots.numbers("old-1") == []
    assert snapshots.numbers("old-2") == [1]
    assert snapshots.oldest_cursor(EPOCH) == LogId(50, 0)
    assert snapshots.oldest_cursor(b"another") is None
    assert write_snapshot(snapshots, generation).name == "00000005"
    assert snapshots.replica() == Snapshots(tmp_path, 2).replica()


def test_a_version_that_is_served_keeps_its_newest_readable_one_however_old(
    tmp_path: Path,
) -> None:
    snapshots, generation = Snapshots(tmp_path, 2), changed_generation()
    for version, ms in [("tried-1", 10), ("tried-1", 11), ("tried-1", 12), (VERSION, 90_000)]:
        generation.version = version
        generation.position = Position(EPOCH, LogId(ms, 0))
        write_snapshot(snapshots, generation)
    (snapshots.path("tried-1", 3) / "manifest.json").write_text("{")
    snapshots.prune(VERSION, LogId(80_000, 0), [VERSION, "tried-1"])
    assert snapshots.numbers("tried-1") == [2]
    assert snapshots.oldest_cursor(EPOCH) == LogId(11, 0)
    snapshots.prune(VERSION, LogId(80_000, 0), [VERSION])
    assert snapshots.numbers("tried-1") == []


def test_one_process_writes_at_a_time_and_its_death_lets_the_next_one(tmp_path: Path) -> None:
    def hold(end: Connection) -> None:
        with Snapshots(tmp_path, 2).lock() as is_ours:
            end.send(is_ours)
            end.recv()

    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=hold, args=(theirs,))
    process.start()
    assert ours.recv()
    with Snapshots(tmp_path, 2).lock() as is_ours:
        assert not is_ours
    process.kill()
    process.join()
    with Snapshots(tmp_path, 2).lock(waits=True) as is_ours:
        assert is_ours
