"""The demo as a user runs it: the shipped log, over real HTTP and a real Redis, to its figures."""

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from examples.kuairand.made import Made
from tests.end_to_end.processes import free_port

ROOT = Path(__file__).parents[2]
KUAIRAND = ROOT / "examples" / "kuairand"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo")


def demo(folder: Path, port: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "examples.kuairand.demo", "--once", "--port", str(port)]
    environ = {k: v for k, v in os.environ.items() if not k.startswith("FIRSTSIGHT_")}
    return subprocess.run(
        command,
        cwd=folder,
        env=environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )


def finished(folder: Path) -> str:
    done = demo(folder, free_port())
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def told(folder: Path) -> str:
    return finished(folder)


def test_the_demo_recalls_for_a_warm_and_for_a_cold_user(told: str) -> None:
    assert '"state": "warm"' in told
    assert '"state": "cold"' in told


def test_videos_training_never_saw_are_recalled_for_those_who_watched_them(told: str) -> None:
    # 2.4 on the mean of three seeds; another processor rounds otherwise, which is as another seed.
    (ratio,) = re.findall(r"That is ([0-9.]+) x random", told)
    assert float(ratio) >= 1.3


def test_a_second_demo_uses_the_first_ones_run_and_says_why(told: str, folder: Path) -> None:
    assert "training: there is no run of train.yaml and its data yet" in told
    again = finished(folder)
    (run,) = re.findall(r"using (runs/kuairand-1-\w+) again: .* are as they were", again)
    assert (folder / run).is_dir()
    assert "$ firstsight train" not in again
    assert re.findall(r"That is .*", again) == re.findall(r"That is .*", told)


def test_a_port_that_is_taken_ends_the_demo_before_its_work(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = demo(tmp_path, port)
    assert done.returncode == 2
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in done.stderr
    assert "choose another with --port (make demo PORT=8080)" in done.stderr
    assert list(tmp_path.iterdir()) == []


def copied(tmp_path: Path) -> Path:
    """Copy configuration and data, to be changed."""
    shutil.copytree(KUAIRAND / "data", tmp_path / "data")
    return Path(shutil.copy(KUAIRAND / "train.yaml", tmp_path))


def change_config(config: Path) -> None:
    config.write_text(config.read_text() + "\nallow_id: true\n")


def change_data(config: Path) -> None:
    shutil.copy(config.parent / "data" / "users.parquet", config.parent / "data" / "cold.parquet")


@pytest.mark.parametrize("change", [change_config, change_data])
def test_another_configuration_or_data_trains_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], None]
) -> None:
    monkeypatch.chdir(tmp_path)
    config = copied(tmp_path)
    first = Made(config, 1)
    assert first.why().startswith("training: there is no run")
    first.run.mkdir(parents=True)
    assert first.why() == f"{first.run} is not finished: its training goes on"
    (first.run / "metrics.json").touch()
    assert Made(config, 1).is_trained
    change(config)
    second = Made(config, 1)
    assert not second.is_trained
    assert second.bundle != first.bundle
    assert second.redis != first.redis
    assert second.why().startswith("training anew: train.yaml and its data are others")
    assert str(first.run) in second.why()
