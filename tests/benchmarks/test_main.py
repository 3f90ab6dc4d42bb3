import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.__main__ import RUNS, command, run_all


@pytest.mark.parametrize("is_quick", [True, False])
@pytest.mark.parametrize("name", RUNS)
def test_a_benchmark_takes_the_words_it_is_told(
    name: str, is_quick: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = command(name, tmp_path, is_quick=is_quick)
    module = words[2] if (Path("benchmarks") / f"{name}.py").exists() else f"{words[2]}.__main__"
    room, asked = importlib.import_module(module), []

    def measure(given: object) -> dict[str, object]:
        asked.append(given)
        return {}

    monkeypatch.setattr(room, "measure", measure)
    monkeypatch.setattr(sys, "argv", ["", *words[3:]])
    room.main()
    assert len(asked) == 1
    assert (tmp_path / f"{name}.json").exists()


def test_one_that_fails_keeps_no_other_from_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = []

    def run(words: list[str], **_: object) -> "subprocess.CompletedProcess[bytes]":
        ran.append(words[2])
        return subprocess.CompletedProcess(words, words[2] == "benchmarks.memory")

    monkeypatch.setattr(subprocess, "run", run)
    assert run_all(["memory", "startup"], tmp_path / "out", is_quick=True) == ["memory"]
    assert ran == ["benchmarks.memory", "benchmarks.startup"]
