"""The demo as a user runs it: the shipped log, over real HTTP and a real Redis, to its figures."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.end_to_end.processes import free_port

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("demo")
    command = [sys.executable, "-m", "examples.kuairand.demo", "--once", "--port"]
    environ = {k: v for k, v in os.environ.items() if not k.startswith("FIRSTSIGHT_")}
    done = subprocess.run(
        [*command, str(free_port())],
        cwd=folder,
        env=environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_demo_recalls_for_a_warm_and_for_a_cold_user(told: str) -> None:
    assert '"state": "warm"' in told
    assert '"state": "cold"' in told


def test_videos_training_never_saw_are_recalled_for_those_who_watched_them(told: str) -> None:
    # 2.1 on the mean of three seeds; another processor rounds otherwise, which is as another seed.
    (ratio,) = re.findall(r"That is ([0-9.]+) x random", told)
    assert float(ratio) >= 1.3
