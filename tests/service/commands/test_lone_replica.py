"""The commands `items snapshot` and `items reconcile`, run as a user runs them."""

import asyncio
from pathlib import Path

import pytest
import redis

from export.embedder import Embedder
from firstsight import run as command
from service.rollout.pointer import Pointer
from service.rollout.pointer_store import change_pointer
from service.settings import Settings
from service.snapshot import kept_in
from service.store import LogId, Position
from tests.service.snapshot.made import EPOCH, changed_generation, write_snapshot
from tests.service.test_follower import Replica, running

pytestmark = pytest.mark.usefixtures("logging_as_it_was")


@pytest.fixture
def filled(
    redis_url: str,
    bundle_folder: Path,
    embedder: Embedder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Replica:
    monkeypatch.setenv("FIRSTSIGHT_DATA_FOLDER", str(tmp_path))
    monkeypatch.setenv("FIRSTSIGHT_REDIS", redis_url)
    monkeypatch.setenv("FIRSTSIGHT_BUNDLE", str(bundle_folder))
    replica = Replica(redis_url, bundle_folder, embedder)

    async def fill() -> None:
        async with running(replica):
            for n in range(5):
                await replica.post(id=f"x{n}", length=float(n))
            await replica.items.delete("x1")

    asyncio.run(fill())
    return replica


def test_a_snapshot_is_written_once_for_what_there_is(
    filled: Replica, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(["items", "snapshot"]) == 0
    folder = tmp_path / "snapshots" / "fs" / "tiny-1" / "00000001"
    assert capsys.readouterr().out == f"wrote {folder}\n"
    snapshot = kept_in(Settings(data_folder=tmp_path)).newest(filled.generation.bundle, None)
    assert snapshot is not None
    assert snapshot.facts.checksum == filled.generation.checksum
    assert command(["items", "snapshot"]) == 0
    assert capsys.readouterr().out == f"nothing new since {folder}\n"


def test_the_candidates_only_snapshot_stays_however_old(
    filled: Replica,
    redis_url: str,
    bundle_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FIRSTSIGHT_BUNDLES", str(bundle_folder.parent))
    settings = Settings(data_folder=tmp_path, redis=redis_url)
    for version in ("tried-1", "gone-1"):
        old = changed_generation()
        old.version, old.position = version, Position(EPOCH, LogId(1, 0))
        write_snapshot(kept_in(settings), old)
    change_pointer(settings, None, Pointer(1, bundle_folder.name, "tried-1", 0.5))
    assert command(["items", "snapshot"]) == 0
    kept = {path.name for path in kept_in(settings).folder.iterdir() if path.is_dir()}
    assert kept == {"tiny-1", "tried-1"}


def test_where_no_item_was_changed_no_snapshot_is_written_and_that_is_said(
    redis_url: str,
    bundle_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("FIRSTSIGHT_DATA_FOLDER", str(tmp_path))
    words = ["--redis", redis_url, "--bundle", str(bundle_folder)]
    assert command(["items", "snapshot", *words]) == 0
    said = capsys.readouterr().out
    assert said == "nothing to write: no item was changed since the bundle\n"


def test_what_redis_lost_since_the_snapshot_is_announced(
    filled: Replica, redis_client: redis.Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(["items", "snapshot"]) == 0
    redis_client.delete("{fs}:item:x2")
    redis_client.zrem("{fs}:items", "x2")
    capsys.readouterr()
    assert command(["items", "reconcile"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("stored 4 (")
    assert f"known 5 ({filled.generation.checksum}): read 0, announced 1, unreadable 0" in said
    assert redis_client.zscore("{fs}:items", "x2") == 3


@pytest.mark.parametrize("verb", ["snapshot", "reconcile"])
def test_without_redis_or_a_bundle_one_line_says_so(
    verb: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    redis_url: str,
) -> None:
    monkeypatch.setenv("FIRSTSIGHT_DATA_FOLDER", str(tmp_path))
    monkeypatch.setenv("FIRSTSIGHT_BUNDLES", str(tmp_path))
    assert command(["items", verb]) == 1
    assert "no service runs on" in capsys.readouterr().err
    assert command(["items", verb, "--redis", redis_url]) == 1
    assert "no bundle" in capsys.readouterr().err


def test_no_snapshot_is_written_where_none_is_kept(
    filled: Replica, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FIRSTSIGHT_SNAPSHOTS_KEPT", "0")
    assert command(["items", "snapshot"]) == 2
    assert "FIRSTSIGHT_SNAPSHOTS_KEPT" in capsys.readouterr().err
