"""The commands that the READMEs show are run, on the shipped sample, with fewer epochs."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from export.embedder import open_bundle

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "kuairand"


def commands(readme: Path) -> list[list[str]]:
    """Return the `firstsight` command lines of a README's code blocks, without comments."""
    blocks = re.findall(r"^```\n(.*?)^```", readme.read_text(encoding="utf-8"), re.S | re.M)
    lines = [line for block in blocks for line in block.splitlines()]
    return [
        shlex.split(line, comments=True)[1:] for line in lines if line.startswith("firstsight ")
    ]


def firstsight(folder: Path, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "firstsight", *words],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def test_the_example_of_real_data_runs_as_its_readme_says(tmp_path: Path) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    said = {}
    for words in commands(EXAMPLE / "README.md"):
        if words[0] in ("serve", "users"):
            continue
        few = ["--set", "training.epochs=1"] if words[0] == "train" else []
        said[words[0]] = firstsight(tmp_path, *words, *few)
    assert set(said) >= {"validate", "train", "evaluate", "export", "recall", "embed"}
    assert "point_in_time by order" in said["train"]
    assert "content_neighbours" in said["evaluate"]
    recalled = pq.read_table(tmp_path / "recalled.parquet")
    assert recalled.column_names == ["user_id", "rank", "item_id", "score"]
    bundle, _ = open_bundle(tmp_path / "bundles" / "kuairand-1")
    assert set(recalled.column("item_id").to_pylist()) <= set(bundle.ids)
    assert max(recalled.column("rank").to_pylist()) == 100


@pytest.mark.parametrize("readme", ["README.md", "examples/synthetic/README.md"])
def test_every_command_that_is_shown_exists(readme: str) -> None:
    shown = commands(ROOT / readme)
    assert shown
    for verb in {words[0] for words in shown}:
        assert "Usage" in firstsight(ROOT, verb, "--help")


def test_make_help_lists_the_commands_the_readme_names() -> None:
    listed = subprocess.run(
        ["make", "--no-print-directory", "help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    named = set(re.findall(r"`make ([a-z]+)", (ROOT / "README.md").read_text(encoding="utf-8")))
    assert named
    assert named - {"help"} <= {line.split()[0] for line in listed.splitlines()}
