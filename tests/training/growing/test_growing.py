"""Whole runs that grow from others."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from export.bundling import export_run
from export.contract.bundle import BundleLayout
from export.contract.errors import ConfigError
from export.contract.run import RunLayout
from export.contract.schema import read_schema
from export.contract.side import SIDES, SideName
from firstsight import DONE, MISTAKE, run
from tests.once import once
from tests.training.growing.conftest import grown_config
from training.config import TrainConfig, parse_config
from training.run import Reporter, run_training
from training.subject import RunTowers

Output = pytest.CaptureFixture[str]


def configured(later: Path, **training: Any) -> TrainConfig:
    raw = grown_config(later)
    raw["losses"].append({"kind": "pointwise", "weight": 0.1})
    raw["training"] |= training
    return parse_config(raw, later / "train.yaml")


@pytest.fixture(scope="session")
def second_run(
    first_run: RunLayout, later: Path, tmp_path_factory: pytest.TempPathFactory
) -> RunLayout:
    """Return a run that grew from the first on the later world, and was told of in lines."""

    def make(out: Path) -> None:
        lines: list[str] = []
        reporter = Reporter(note=lines.append)
        run_training(configured(later), out, reporter=reporter, grow_from=first_run.folder)
        out.with_suffix(".txt").write_text("\n".join(lines), encoding="utf-8")

    return RunLayout(once(tmp_path_factory, "second", make))


def test_every_word_keeps_its_row_and_new_items_get_vectors(
    first_run: RunLayout, second_run: RunLayout, tmp_path: Path
) -> None:
    before, after = (read_schema(one.schema).tables for one in (first_run, second_run))
    for table, words in before.items():
        assert after[table][: len(words)] == words
    assert set(after["item"]) > set(before["item"])
    export_run(second_run.folder, tmp_path / "bundle")
    bundle = BundleLayout(tmp_path / "bundle")
    parity = json.loads((bundle.folder / "parity.json").read_text())
    assert max(map(float, re.findall(r"\d\.?\d*e-\d+", json.dumps(parity)))) <= 1e-5, parity
    vectors = np.load(bundle.vectors)
    assert np.isfinite(vectors).all()
    assert len(vectors) > 20


def test_the_log_and_the_metrics_say_what_came_from_where(
    first_run: RunLayout, second_run: RunLayout
) -> None:
    told = second_run.folder.with_suffix(".txt").read_text().splitlines()
    lines = [line for line in told if line.startswith("from first: ")]
    assert len(lines) == 8  # once to select, once for all rows
    assert re.search(r"tables go on: .*\bitem \(\d+ rows, \d+ new\)", lines[0])
    assert "features go on: user.content.region, " in lines[1]
    assert lines[2] == "from first: begin afresh: none"
    assert lines[3] == "from first: left behind: none"
    metrics = json.loads(second_run.metrics.read_text())
    found = metrics["grown_from"]
    assert found["run"] == "first"
    assert found["fresh"] == {}
    words = [len(read_schema(one.schema).tables["item"]) for one in (first_run, second_run)]
    assert found["tables"]["item"] == {"kept": words[0] + 3, "new": words[1] - words[0]}
    assert found["tables"]["user.place"] == {"kept": 12, "new": 0}
    first_line = second_run.config.read_text().splitlines()[0]
    assert first_line == f"# grown from first, whose weights have the SHA-256 {found['digest']}"
    assert "grown_from" not in json.loads(first_run.metrics.read_text())


@pytest.mark.parametrize("refit", [True, False])
def test_training_begins_with_the_parents_vectors_and_refit_does_so_again(
    refit: bool, first_run: RunLayout, later: Path, tmp_path: Path
) -> None:
    config = configured(later, learning_rate=1e-9, epochs=1, refit=refit)
    grown = run_training(config, tmp_path / "run", grow_from=first_run.folder)
    one, other = RunTowers(first_run), RunTowers(grown)
    records: dict[SideName, list[dict[str, object]]] = {
        "user": [{"region": "r1", "age": 30.0}, {"region": "nowhere"}, {"recent": ["i0001"]}],
        "item": [{"maker": "m1", "tags": ["art"], "title": "food"}, {"look": [1.0, 2.0, 3.0]}],
    }
    for side in SIDES:
        parsed = [one.schema.side(side).parse(record) for record in records[side]]
        np.testing.assert_allclose(other.embed(side, parsed), one.embed(side, parsed), atol=1e-5)


def test_a_grown_run_that_was_broken_off_goes_on_to_the_same_numbers(
    first_run: RunLayout, later: Path, tmp_path: Path
) -> None:
    config = configured(later, epochs=2, refit=False)
    whole = run_training(config, tmp_path / "whole", grow_from=first_run.folder)

    def stop(figures: dict[str, Any]) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_training(
            config,
            tmp_path / "stopped",
            reporter=Reporter(epoch=stop),
            grow_from=first_run.folder,
        )
    with pytest.raises(ConfigError, match="--resume needs the --from the run began with: grown"):
        run_training(config, tmp_path / "stopped", resume=True)
    resumed = run_training(config, tmp_path / "stopped", resume=True, grow_from=first_run.folder)
    ours, theirs = (torch.load(one.weights) for one in (whole, resumed))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_a_run_from_scratch_is_not_resumed_from_another(
    first_run: RunLayout, second_run: RunLayout, early: Path
) -> None:
    config = parse_config(yaml.safe_load(first_run.config.read_text()), first_run.config)
    with pytest.raises(ConfigError, match="it began from none"):
        run_training(config, first_run.folder, resume=True, grow_from=second_run.folder)


def test_the_command_grows_a_run_and_says_so(
    first_run: RunLayout, later: Path, tmp_path: Path, capsys: Output
) -> None:
    path = tmp_path / "train.yaml"
    path.write_text(yaml.safe_dump(grown_config(later)), encoding="utf-8")
    alone = shutil.copytree(first_run.folder, tmp_path / "far" / "away" / "first")  # from its data
    asked = ["train", str(path), "--out", str(tmp_path / "run"), "--from", str(alone)]
    assert run([*asked, "--set", "training.epochs=1"]) == DONE
    assert "from first: features go on: user.content.age, " in capsys.readouterr().out


Case = tuple[list[str], str]


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["similarity=inner_product"], "similarity: got 'inner_product', but --from .* 'cosine'"),
        (["tower.dim=8"], r"tower\.dim: got 8, but the user_tower of --from .* has 16"),
        (["tower={kind: mlp, dim: 16}"], r"tower\.kind: got 'mlp', but the user_tower of"),
        (
            ["item_tower={kind: mlp, dim: 16}"],
            r"item_tower\.kind: got 'mlp', but the item_tower of --from .* has 'additive'; keep",
        ),
        (
            ["user={content: {x: {kind: category}}}", "item={content: {y: {kind: category}}}"],
            "--from .*: no feature and no table here is one of its own by name, kind",
        ),
    ],
)
def test_what_no_weight_could_be_used_for_is_refused_by_its_key(
    overrides: list[str],
    told: str,
    first_run: RunLayout,
    later: Path,
    tmp_path: Path,
    capsys: Output,
) -> None:
    path = tmp_path / "train.yaml"
    path.write_text(yaml.safe_dump(grown_config(later)), encoding="utf-8")
    asked = ["train", str(path), "--out", str(tmp_path / "run"), "--from", str(first_run.folder)]
    for one in overrides:
        asked += ["--set", one]
    assert run(asked) == MISTAKE
    assert re.fullmatch(f"firstsight: {told}.*\n", capsys.readouterr().err)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("nothing", "no run here (config.yaml is missing)"),
        ("metrics.json", "no finished run here (metrics.json is missing); finish it by --resume"),
        ("weights.pt", "no finished run here (weights.pt is missing)"),
        ("manifest", "a bundle, which has no weights; give the run it was made of"),
        ("out", "is --out as well; a run grows in a folder of its own"),
    ],
)
def test_what_is_no_finished_run_is_refused(
    change: str, told: str, first_run: RunLayout, later: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "parent"
    if change != "nothing":
        shutil.copytree(first_run.folder, folder)
    if (folder / change).is_file():
        (folder / change).unlink()
    if change == "manifest":
        (folder / "manifest.json").touch()
    out = tmp_path / "." / "parent" if change == "out" else tmp_path / "run"
    with pytest.raises(ConfigError) as refused:
        run_training(configured(later), out, grow_from=folder, resume=change == "out")
    assert str(refused.value).startswith(f"--from {folder}: ")
    assert told in str(refused.value)
