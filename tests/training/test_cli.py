import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from export.contract.run import RunLayout
from firstsight import DONE, MISTAKE, run
from tests.once import once
from tests.training.conftest import world_config

Output = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def dirty(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the YAML of a world with a repeated row and a row of an unknown item."""

    def make(folder: Path) -> None:
        shutil.copytree(world, folder)
        rows = pq.read_table(world / "interactions.parquet")
        strange = rows.slice(1, 1).set_column(1, "item_id", pa.array(["elsewhere"]))
        rows = pa.concat_tables([rows, rows.slice(0, 1), strange])
        pq.write_table(rows, folder / "interactions.parquet")
        raw = world_config(folder) | {"data": {"folder": "."}}
        (folder / "train.yaml").write_text(yaml.safe_dump(raw), encoding="utf-8")

    return once(tmp_path_factory, "dirty", make) / "train.yaml"


def mistake(arguments: list[str], capsys: Output) -> str:
    """Run a command that is the user's mistake, and return its one line."""
    assert run(arguments) == MISTAKE
    told = capsys.readouterr()
    assert told.out == ""
    assert re.fullmatch(r"firstsight: .*\n", told.err)
    return told.err


def test_validate_tells_sizes_rules_and_what_is_left_out(dirty: Path, capsys: Output) -> None:
    assert run(["validate", str(dirty)]) == DONE
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == f"{dirty}: good"
    assert "160 users, 120 items" in lines[0]
    assert "{'unknown_item': 1, 'exact_repeat': 1}" in lines[0]
    assert "'train': " in lines[1]
    assert "user: point_in_time by order; item: point_in_time by timestamp" in lines[2]


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("training.epoch=3", "world.yaml: training.epoch: unknown key"),
        ("tower.kind=mlpp", "tower: Input tag 'mlpp' found using 'kind' does not match"),
        ("data.interactions=none.parquet", "none.parquet: no such file"),
        ("split.cold=none.parquet", "none.parquet: no such file"),
        ("user.content.gendr={kind: category}", "users.parquet: no column 'gendr'"),
        ("item.preference.shown.where={tub: feed}", "where.tub: the interactions have no such"),
        ("split={kind: given, column: label}", "column 'label'"),
        ("user.content.age={kind: vector}", "'age', row 1: got"),
        ("user.context.x={kind: cross, of: [tab, sex]}", "'x': of: there is no feature 'sex'"),
        ("user.content.region={kind: category, vocabulary: hashed}", "hashed needs buckets"),
        (
            "user.content.region={kind: category, vocabulary: given, words_from: none.txt}",
            "none.txt: no such file",
        ),
        ("user.content.region={kind: text, vectors: none.vec}", "none.vec: no such file"),
        ("losses.other.weight=1", "no 'other' in the list"),
    ],
)
def test_a_mistake_in_config_or_data_is_one_line(
    world_yaml: Path, capsys: Output, override: str, told: str
) -> None:
    assert told in mistake(["validate", str(world_yaml), "--set", override], capsys)


def test_a_missing_config_is_a_mistake(tmp_path: Path, capsys: Output) -> None:
    assert "No such file" in mistake(["train", str(tmp_path / "x.yaml"), "--out", "y"], capsys)


def test_an_unknown_option_is_a_mistake(world_yaml: Path, capsys: Output) -> None:
    assert "--outt" in mistake(["train", str(world_yaml), "--outt", "x"], capsys)


@pytest.mark.parametrize(
    ("part", "told"),
    [("train", "no train row has label 1"), ("validation", "validation has no label 1")],
)
def test_nothing_to_learn_from_or_to_select_by_is_a_mistake(
    world: Path, tmp_path: Path, capsys: Output, part: str, told: str
) -> None:
    shutil.copytree(world, tmp_path, dirs_exist_ok=True)
    rows = pq.read_table(world / "interactions.parquet")
    parts = np.where(np.arange(len(rows)) % 2, "train", "validation")
    label = np.where(parts == part, 0, 1)
    for name, column in (("split", parts.tolist()), ("label", label)):
        rows = rows.set_column(rows.column_names.index(name), name, pa.array(column))
    pq.write_table(rows, tmp_path / "interactions.parquet")
    raw = world_config(tmp_path) | {"split": {"kind": "given"}}
    (tmp_path / "train.yaml").write_text(yaml.safe_dump(raw), encoding="utf-8")
    assert told in mistake(["validate", str(tmp_path / "train.yaml")], capsys)


@pytest.fixture(scope="module")
def run_folder(dirty: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """Train by the command; return the run and the lines it printed, away from a terminal."""

    def make(folder: Path) -> None:
        asked = [sys.executable, "-m", "firstsight", "train", str(dirty), "--out", str(folder)]
        for override in ("training.epochs=1", "tower.dim=4", "split={kind: held_out_ids}"):
            asked += ["--set", override]
        done = subprocess.run(asked, capture_output=True, text=True, check=False)
        assert done.returncode == DONE, done.stderr
        folder.with_suffix(".txt").write_text(done.stdout, encoding="utf-8")

    folder = once(tmp_path_factory, "dirty_run", make)
    return folder, folder.with_suffix(".txt").read_text(encoding="utf-8").splitlines()


def test_training_away_from_a_terminal_prints_plain_lines(
    run_folder: tuple[Path, list[str]],
) -> None:
    folder, lines = run_folder
    assert not any("\x1b" in line or "\r" in line for line in lines)
    assert [
        line for line in lines if re.match(r"epoch 1: loss \d+\.\d{4}; validation recall", line)
    ]
    assert lines[-1] == f"wrote {folder}"


def test_training_prints_the_rule_of_each_side_and_what_was_left_out(
    run_folder: tuple[Path, list[str]],
) -> None:
    text = "\n".join(run_folder[1])
    assert "user: point_in_time by order; item: point_in_time by timestamp" in text
    assert "left out: {'unknown_item': 1, 'exact_repeat': 1}" in text
    assert "'train': " in text


def test_a_folder_that_holds_a_run_is_not_overwritten(
    dirty: Path, run_folder: tuple[Path, list[str]], capsys: Output
) -> None:
    told = mistake(["train", str(dirty), "--out", str(run_folder[0])], capsys)
    assert "holds a run already" in told


def test_resuming_with_another_config_is_a_mistake(
    dirty: Path, run_folder: tuple[Path, list[str]], capsys: Output
) -> None:
    assert run(["train", str(dirty), "--out", str(run_folder[0]), "--resume"]) == MISTAKE
    assert "--resume needs the configuration the run began with" in capsys.readouterr().err


def test_evaluate_prints_tables_and_writes_json_and_html(
    trained: RunLayout, bundle: Path, tmp_path: Path, capsys: Output
) -> None:
    path, report = tmp_path / "figures.json", tmp_path / "report.html"
    asked = ["evaluate", str(trained.folder), "--baseline", str(bundle)]
    assert run([*asked, "--json", str(path), "--html", str(report)]) == DONE
    printed = capsys.readouterr().out
    for text in ("recall@100 / ndcg@100", "AUC / GAUC", "content_neighbours", "coverage@100"):
        assert text in printed
    assert re.search(r"popularity: counts of .*, chosen on validation", printed)
    document = json.loads(path.read_text())
    rival = document["slices"][str(bundle)]
    assert f"{rival['warm']['recall@100']:.4f}" in printed
    assert document["paired"][str(bundle)]["warm"]["difference"] == pytest.approx(0, abs=1e-3)
    assert f"{rival['warm']['recall@100']:.4f}" in report.read_text(encoding="utf-8")


def test_a_run_that_was_tested_on_other_rows_is_a_mistake(
    run_folder: tuple[Path, list[str]], trained: RunLayout, capsys: Output
) -> None:
    told = mistake(["evaluate", str(trained.folder), "--baseline", str(run_folder[0])], capsys)
    assert "differ in test rows" in told
    assert "split.kind: given against held_out_ids" in told


def test_runs_of_two_configurations_are_a_mistake(
    run_folder: tuple[Path, list[str]], trained: RunLayout, capsys: Output
) -> None:
    told = mistake(["evaluate", str(trained.folder), str(run_folder[0])], capsys)
    assert "are no seeds of one configuration" in told
    assert "give one of them as --baseline" in told


@pytest.mark.parametrize("option", ["--json", "--html"])
def test_a_file_in_no_folder_is_refused_before_the_work(
    option: str, run_folder: tuple[Path, list[str]], tmp_path: Path, capsys: Output
) -> None:
    asked = ["evaluate", str(run_folder[0]), option, str(tmp_path / "none" / "x")]
    assert f"{option} {tmp_path / 'none' / 'x'}: no such folder" in mistake(asked, capsys)


def test_evaluating_nothing_is_a_mistake(tmp_path: Path, capsys: Output) -> None:
    assert "neither a run nor a bundle" in mistake(["evaluate", str(tmp_path)], capsys)


def test_factors_are_written_into_the_data_folder_or_where_they_are_asked_for(
    world: Path, tmp_path: Path, capsys: Output
) -> None:
    shutil.copytree(world, tmp_path / "data")
    raw = world_config(world) | {"data": {"folder": "data"}, "factors": {"size": 3}}
    path = tmp_path / "train.yaml"
    path.write_text(yaml.safe_dump(raw), encoding="utf-8")
    names = ["item_factors.parquet", "user_factors.parquet"]
    assert run(["factors", str(path), "--out", str(tmp_path / "new" / "out")]) == DONE
    assert sorted(one.name for one in (tmp_path / "new" / "out").iterdir()) == names
    assert not (tmp_path / "data" / names[0]).exists()
    assert run(["factors", str(path), "--set", "factors.size=5"]) == DONE
    told = capsys.readouterr().out.splitlines()
    assert "by 3 numbers" in told[0]
    assert "by 5 numbers" in told[1]
    assert len(pq.read_table(tmp_path / "data" / names[0])["vector"][0].as_py()) == 5


@pytest.mark.parametrize("command", ["validate", "doctor"])
def test_factors_that_are_not_there_yet_are_named_with_the_command_that_fits_them(
    world: Path, tmp_path: Path, capsys: Output, command: str
) -> None:
    shutil.copytree(world, tmp_path / "data")
    raw = world_config(world) | {"data": {"folder": "data"}, "factors": {"size": 3}}
    raw |= {"losses": [{"kind": "reconstruction"}], "similarity": "inner_product"}
    path = tmp_path / "train.yaml"
    path.write_text(yaml.safe_dump(raw), encoding="utf-8")
    told = mistake([command, str(path)], capsys)
    assert "user_factors.parquet: not there yet; `firstsight factors`" in told
    assert run(["factors", str(path)]) == DONE
    assert run([command, str(path)]) != MISTAKE


def test_factors_need_no_section_of_their_own(
    world: Path, tmp_path: Path, world_yaml: Path, capsys: Output
) -> None:
    assert run(["factors", str(world_yaml), "--out", str(tmp_path)]) == DONE
    assert "by 64 numbers" in capsys.readouterr().out
