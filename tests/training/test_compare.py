import json
from pathlib import Path
from typing import Any

import pytest

from export.contract.errors import ConfigError
from export.contract.run import RunLayout
from firstsight import DONE, MISTAKE, run
from tests.once import once
from training.checkpoint import resolved
from training.compare import compare, is_finished, seeded
from training.config import TrainConfig, read_config
from training.evaluate import evaluate
from training.run import Reporter, run_training
from training.subject import open_subject

PRESETS = ("ours", "easyrec-dropoutnet")
SHORT = ["training.epochs=1", "training.refit=false"]
Told = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def configs(world_yaml: Path) -> dict[str, TrainConfig]:
    return {name: read_config(world_yaml, SHORT, preset=name) for name in PRESETS}


@pytest.fixture(scope="module")
def compared(configs: dict[str, TrainConfig], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of finished runs, and beside them what was found."""

    def make(out: Path) -> None:
        found = compare(configs, (1, 2), out, Reporter())
        (out / "found.json").write_text(json.dumps(found), encoding="utf-8")

    return once(tmp_path_factory, "compared", make)


def written(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_the_figures_are_those_of_runs_trained_and_measured_alone(
    compared: Path, configs: dict[str, TrainConfig], tmp_path: Path
) -> None:
    found = json.loads((compared / "found.json").read_text(encoding="utf-8"))
    alone = {}
    for name, config in configs.items():
        folders = [tmp_path / f"{name}{seed}" for seed in (1, 2)]
        for seed, folder in zip((1, 2), folders, strict=True):
            run_training(seeded(config, seed), folder)
        alone[name] = evaluate([open_subject(folder, None) for folder in folders])
    assert found["slices"]["model"] == alone["ours"]["slices"]["model"]
    theirs = alone["easyrec-dropoutnet"]["slices"]["model"]
    assert found["slices"]["easyrec-dropoutnet"] == theirs
    assert theirs != found["slices"]["model"]
    assert found["spread"]["slices"].keys() == {"model", "easyrec-dropoutnet"}


def test_what_is_finished_is_not_trained_again(
    compared: Path, configs: dict[str, TrainConfig]
) -> None:
    before = written(compared)
    found = compare(configs, (1, 2), compared, Reporter())
    assert written(compared) == before
    assert found == json.loads((compared / "found.json").read_text(encoding="utf-8"))


def test_what_was_broken_off_is_continued(world_yaml: Path, tmp_path: Path) -> None:
    config = {"ours": read_config(world_yaml, ["training.epochs=2"], preset="ours")}
    epochs: list[int] = []

    def stop(figures: dict[str, Any]) -> None:
        epochs.append(figures["epoch"])
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compare(config, (1,), tmp_path, Reporter(epoch=stop))
    go_on = Reporter(epoch=lambda figures: epochs.append(figures["epoch"]))
    compare(config, (1,), tmp_path, go_on)
    assert epochs == [1, 2]


def test_a_run_of_another_configuration_is_refused(
    compared: Path, configs: dict[str, TrainConfig]
) -> None:
    other = seeded(configs["ours"], 2)
    assert is_finished(other, RunLayout(compared / "ours-2"))
    with pytest.raises(ConfigError, match="ours-1: holds a run of another configuration"):
        is_finished(other, RunLayout(compared / "ours-1"))


def test_a_run_of_other_data_is_refused(
    compared: Path, configs: dict[str, TrainConfig], tmp_path: Path
) -> None:
    config, layout = seeded(configs["ours"], 1), RunLayout(compared / "ours-1")
    metrics = json.loads(layout.metrics.read_text(encoding="utf-8"))
    other = RunLayout(tmp_path / "other-1")
    other.folder.mkdir()
    other.config.write_text(resolved(config, other.folder), encoding="utf-8")
    other.metrics.write_text(json.dumps(metrics | {"data_digest": "0"}), encoding="utf-8")
    with pytest.raises(ConfigError, match="other-1: holds a run of other data"):
        is_finished(config, other)


def test_the_command_prints_tables_by_preset_and_writes_both_files(
    compared: Path, world_yaml: Path, tmp_path: Path, capsys: Told
) -> None:
    sets = [text for one in SHORT for text in ("--set", one)]
    files = {"--json": tmp_path / "c.json", "--html": tmp_path / "c.html"}
    asked = ["compare", str(world_yaml), "--presets", ",".join(PRESETS), "--seeds", "1,2"]
    asked += ["--out", str(compared), *sets]
    assert run([*asked, *(str(one) for pair in files.items() for one in pair)]) == DONE
    told = capsys.readouterr().out
    assert "ours-1: finished before" in told
    assert "│ ours " in told
    assert "│ easyrec-dropoutnet " in told
    assert "easyrec-dropoutnet" in files["--html"].read_text(encoding="utf-8")
    found = json.loads(files["--json"].read_text(encoding="utf-8"))
    assert found == json.loads((compared / "found.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        ("--seeds", "1,1", "--seeds: got '1,1', expected different whole numbers"),
        ("--seeds", "one", "--seeds: got 'one'"),
        ("--presets", "ours,theirs", "preset 'theirs': expected one of"),
        ("--presets", "ours,ours", "--presets: 'ours' stands twice"),
    ],
)
def test_what_cannot_be_compared_is_the_users_mistake(
    world_yaml: Path,
    tmp_path: Path,
    capsys: Told,
    option: str,
    value: str,
    told: str,
) -> None:
    options = {"--presets": "ours", "--seeds": "1", "--out": str(tmp_path)} | {option: value}
    assert run(["compare", str(world_yaml), *(x for pair in options.items() for x in pair)]) == (
        MISTAKE
    )
    assert told in capsys.readouterr().err
