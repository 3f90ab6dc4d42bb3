import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from examples.synthetic.generate import generate
from export.contract.errors import ConfigError
from export.contract.run import RunLayout
from firstsight import DONE, MISTAKE, run
from tests.once import once
from tests.training.conftest import world_config
from tests.training.tables import turn_test
from training.checkpoint import resolved
from training.compare import compare, is_finished, seeded
from training.config import TrainConfig, read_config
from training.evaluate import evaluate
from training.run import Reporter, run_training
from training.subject import open_subject

PRESETS = ("ours", "easyrec-dropoutnet")
SHORT = ["training.epochs=1", "training.refit=false"]
VARIED = ["training.learning_rate=1e-06", "training.learning_rate=0.01"]
Told = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def turned_yaml(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the YAML of a world whose test rows say the reverse of what validation says."""

    def make(folder: Path) -> None:
        generate(folder, users=160, items=600, exposures=20, seed=1)
        turn_test(folder)
        raw = world_config(folder)
        raw["training"] |= {"epochs": 3, "refit": False, "select": {"all": 1}}
        (folder / "train.yaml").write_text(yaml.safe_dump(raw), encoding="utf-8")

    return once(tmp_path_factory, "turned", make) / "train.yaml"


def vary(config: Path, runs: Path, out: Path) -> int:
    asked = ["compare", str(config), "--vary", "training.learning_rate=1e-6,.01"]
    files = ["--json", str(out / "found.json"), "--html", str(out / "found.html")]
    return run([*asked, "--seeds", "1,2", "--out", str(runs), *files])


@pytest.fixture(scope="module")
def curve(turned_yaml: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the finished runs of two values, their document and their report."""

    def make(out: Path) -> None:
        out.mkdir()
        assert vary(turned_yaml, out / "runs", out) == DONE

    return once(tmp_path_factory, "curve", make)


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
    assert found["validation"]["mean"].keys() == set(PRESETS)


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


def test_what_is_chosen_is_best_on_validation_also_where_test_disagrees(curve: Path) -> None:
    found = json.loads((curve / "found.json").read_text(encoding="utf-8"))
    idle, learned = VARIED
    validated = found["validation"]["mean"]
    for figure in ("warm", "selected"):
        assert validated[idle][figure] < validated[learned][figure]
    assert found["validation"]["chosen"] == learned
    scorers = {"model": idle, learned: learned}
    test = {scorers[one]: found["slices"][one]["warm"]["recall@100"] for one in scorers}
    assert test[idle] > test[learned]


def test_validation_is_told_as_each_run_wrote_it_down(curve: Path) -> None:
    found = json.loads((curve / "found.json").read_text(encoding="utf-8"))
    assert found["vary"]["path"] == "training.learning_rate"
    assert found["vary"]["values"] == dict(zip(VARIED, (1e-6, 0.01), strict=True))
    for name in VARIED:
        layouts = [RunLayout(curve / "runs" / f"{name}-{seed}") for seed in (1, 2)]
        wrote = [json.loads(one.metrics.read_text(encoding="utf-8"))["selected"] for one in layouts]
        assert found["validation"]["mean"][name]["selected"] == pytest.approx(sum(wrote) / 2)
        assert found["validation"]["spread"][name]["selected"] == [min(wrote), max(wrote)]


def test_a_variation_goes_on_with_what_is_finished_and_prints_both_curves(
    curve: Path, turned_yaml: Path, tmp_path: Path, capsys: Told
) -> None:
    before = written(curve / "runs")
    assert vary(turned_yaml, curve / "runs", tmp_path) == DONE
    assert written(curve / "runs") == before
    for name in ("found.json", "found.html"):
        assert (tmp_path / name).read_bytes() == (curve / name).read_bytes()
    told = capsys.readouterr().out
    assert told.count("finished before") == 4
    assert f"chosen on validation: {VARIED[1]}, selected 0." in told
    assert "recall@100 on validation" in told
    for name in VARIED:
        assert told.count(f"│ {name} ") >= 2
    assert "…" not in told, "no name is cut off"


def test_the_report_draws_validation_and_test_and_names_the_choice(curve: Path) -> None:
    text = (curve / "found.html").read_text(encoding="utf-8")
    section = text[text.index("What validation takes") : text.index("Recall by slice")]
    assert f"chosen on validation: {VARIED[1]}" in section
    (drawn,) = re.findall(r"<svg.*?</svg>", section, re.DOTALL)
    for part in (
        "recall@100, validation",
        "recall@100, test",
        "training.learning_rate",
        "cold_user",
    ):
        assert f">{part}</text>" in drawn
    assert f'<tr class="own"><th scope="row">{VARIED[1]}</th>' in section


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        ("--seeds", "1,1", "--seeds: got '1,1', expected different whole numbers"),
        ("--seeds", "one", "--seeds: got 'one'"),
        ("--presets", "ours,theirs", "preset 'theirs': expected one of"),
        ("--presets", "ours,ours", "--presets: 'ours' stands twice"),
        ("--vary", "dropout.item=0,1", "Give --presets or --vary, one of the two"),
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


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ([], "Give --presets or --vary, one of the two"),
        (["--vary", "dropout.item=.5"], "with two or more numbers or words"),
        (["--vary", "dropout.itme=0,1"], "the nearest is 'item'"),
    ],
)
def test_a_variation_that_cannot_be_stops_before_training(
    world_yaml: Path, tmp_path: Path, capsys: Told, options: list[str], told: str
) -> None:
    out = tmp_path / "runs"
    assert run(["compare", str(world_yaml), "--out", str(out), *options]) == MISTAKE
    assert told in capsys.readouterr().err
    assert not out.exists()
