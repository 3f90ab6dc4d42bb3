"""The tutorial is run, command by command, on the tables that it makes."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from tests.end_to_end.processes import Served
from tests.end_to_end.test_readme import ROOT, firstsight
from training.doctor import CHECKS

TUTORIAL = ROOT / "docs" / "tutorial.md"


def blocks(language: str = "") -> list[str]:
    text = TUTORIAL.read_text(encoding="utf-8")
    found = re.findall(r"^```(\w*)\n(.*?)^```", text, re.S | re.M)
    return [block for one, block in found if one == language]


def commands() -> list[list[str]]:
    """Return every command line of the tutorial, in order."""
    lines = [line for block in blocks() for line in block.splitlines()]
    verbs = ("python ", "firstsight ", "curl ")
    return [shlex.split(line) for line in lines if line.startswith(verbs)]


def curl(words: list[str], served: Served) -> Any:
    """Run a curl of the tutorial as it stands, but for the port, and return the answer."""
    ported = [word.replace("localhost:8000", f"127.0.0.1:{served.port}") for word in words]
    done = subprocess.run(
        [*ported, "-sS", "--fail-with-body"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def test_three_files_become_a_recall_of_a_new_item(tmp_path: Path) -> None:
    said: dict[str, str] = {}
    answers: list[Any] = []
    served: Served | None = None
    try:
        for words in commands():
            if words[:2] == ["firstsight", "serve"]:
                assert words[2] == "--bundle"
                served = Served(tmp_path / "state", tmp_path / words[3])
            elif words[0] == "curl":
                assert served is not None
                answers.append(curl(words, served))
            elif words[0] == "python":
                subprocess.run(
                    [sys.executable, *words[1:3], "--out", str(tmp_path / words[4])],
                    cwd=ROOT,
                    check=True,
                )
            else:
                url = ["--url", f"http://127.0.0.1:{served.port}"] if served else []
                said[words[1]] = firstsight(tmp_path, *words[1:], *url)
    finally:
        if served is not None:
            served.kill()
    assert said.keys() == {"init", "doctor", "train", "evaluate", "export", "users"}
    assert said["doctor"].splitlines()[-1].startswith("0 serious; 0 warning")
    known, posted, recalled, stored = answers
    assert known["state"] == "warm"
    assert len(known["items"]) == 5
    assert (posted["state"], posted["searchable"]) == ("cold", True)
    assert "new-1" in recalled["items"]
    assert stored["id"] == "new-1"


def test_the_yaml_it_shows_is_what_init_writes(tmp_path: Path) -> None:
    made = [sys.executable, "-m", "examples.shop.make", "--out", str(tmp_path / "shop")]
    subprocess.run(made, cwd=ROOT, check=True)
    firstsight(tmp_path, "init", "shop", "--out", "shop.yaml")
    written = (tmp_path / "shop.yaml").read_text(encoding="utf-8")
    (shown,) = blocks("yaml")
    assert yaml.safe_load(shown)
    for line in shown.splitlines():
        assert line in written.splitlines()
    listed = blocks()[1]
    for name in ("interactions", "users", "items"):
        head = (tmp_path / "shop" / f"{name}.csv").read_text(encoding="utf-8").splitlines()[:2]
        assert all(line in listed for line in head)


def test_every_check_of_the_doctor_is_told() -> None:
    text = TUTORIAL.read_text(encoding="utf-8")
    assert [name for name in CHECKS if f"| `{name}` |" not in text] == []
