import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from export.contract.errors import ConfigError
from firstsight import DONE, run
from tests.training.conftest import world_config
from tests.training.tables import turn_test
from training.config import TrainConfig, parse_config, read_config
from training.loop import NotFinite, train
from training.run import run_training
from training.span import Choice, Span
from training.tune import ASKED, BEST, search_space, tune

RATE = {"training.learning_rate": Span(1e-4, 1e-1)}


def silent(text: str) -> None:
    """Tell nobody."""


@pytest.fixture
def config(world: Path) -> TrainConfig:
    raw = world_config(world)
    raw["training"] |= {"epochs": 1}
    return parse_config(raw, world / "train.yaml")


def figures(told: list[str]) -> list[float]:
    return [float(text.split(": ")[1].split(" ")[0]) for text in told]


def test_the_best_trial_is_kept_and_trains_to_its_figure(
    config: TrainConfig, tmp_path: Path
) -> None:
    told: list[str] = []
    best = tune(config, RATE, 3, tmp_path / "search", told.append)
    found = figures(told)
    assert len(found) == 3
    assert len(set(found)) > 1
    written = tmp_path / "search" / BEST
    assert read_config(written) == best
    first = written.read_text(encoding="utf-8").splitlines()[0]
    assert first == f"# validated at {max(found):.4f}"
    layout = run_training(best, tmp_path / "run")
    selected = json.loads(layout.metrics.read_text(encoding="utf-8"))["selected"]
    assert selected == pytest.approx(max(found), abs=5e-5)


def test_a_stopped_search_goes_on_and_counts_what_is_done(
    config: TrainConfig, tmp_path: Path
) -> None:
    told: list[str] = []
    tune(config, RATE, 1, tmp_path, told.append)
    tune(config, RATE, 2, tmp_path, told.append)
    assert [text.split(":")[0] for text in told] == ["trial 1", "trial 2"]
    assert len({text.split("with")[1] for text in told}) == 2  # other values, not the first again
    tune(config, RATE, 2, tmp_path, told.append)
    assert len(told) == 2


def test_a_search_of_something_else_is_refused(config: TrainConfig, tmp_path: Path) -> None:
    tune(config, RATE, 1, tmp_path, silent)
    with pytest.raises(ConfigError, match="another configuration, space or data"):
        tune(config, {"dropout.user": Span(0.0, 0.5)}, 2, tmp_path, silent)
    batch = config.training.model_copy(update={"batch": 64})
    with pytest.raises(ConfigError, match="another configuration, space or data"):
        tune(config.model_copy(update={"training": batch}), RATE, 2, tmp_path, silent)


def test_test_rows_count_for_nothing(world: Path, tmp_path: Path) -> None:
    def found(folder: Path) -> list[str]:
        raw = world_config(folder)
        raw["training"] |= {"epochs": 1}
        told: list[str] = []
        tune(parse_config(raw, folder / "t.yaml"), RATE, 2, tmp_path / folder.name, told.append)
        return told

    other = tmp_path / "other"
    shutil.copytree(world, other)
    turn_test(other)
    assert found(other) == found(world)


def test_a_trial_whose_loss_is_no_number_is_done_and_never_best(
    config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[Any] = []

    def fails_first(*args: Any, **options: Any) -> Any:
        tried.append(args)
        if len(tried) == 1:
            raise NotFinite("loss is nan")
        return train(*args, **options)

    monkeypatch.setattr("training.tune.train", fails_first)
    told: list[str] = []
    tune(config, RATE, 2, tmp_path, told.append)
    assert told[0].startswith("trial 1: no figure: training.learning_rate")
    assert len(told) == 2


def test_without_any_figure_nothing_is_called_best(
    config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*args: Any, **options: Any) -> Any:
        raise NotFinite("loss is nan")

    monkeypatch.setattr("training.tune.train", fails)
    with pytest.raises(ConfigError, match="no trial gave a figure"):
        tune(config, RATE, 1, tmp_path, silent)
    assert not (tmp_path / BEST).exists()


@pytest.mark.parametrize(
    ("space", "told"),
    [
        ({}, "nothing to search"),
        ({"training.learning_rat": Span(1e-4, 1e-2)}, "training.learning_rat: unknown key"),
        ({"dropout.user": Span(2.0, 3.0)}, "dropout.user"),
    ],
)
def test_a_search_that_cannot_be_is_refused_before_the_first_trial(
    config: TrainConfig, tmp_path: Path, space: dict[str, Span], told: str
) -> None:
    with pytest.raises(ConfigError, match=told):
        tune(config, space, 1, tmp_path / "search", silent)
    assert not (tmp_path / "search" / ASKED).exists()


@pytest.mark.parametrize(
    "among", [Span(2, 40), Span(0.1, 0.5, step=0.2), Choice((8, 16))], ids=["int", "step", "choice"]
)
def test_every_sort_of_values_is_tried(
    config: TrainConfig, tmp_path: Path, among: Span | Choice
) -> None:
    path = "dropout.user" if isinstance(among, Span) and among.step else "tower.dim"
    best = tune(config, {path: among}, 1, tmp_path, silent)
    value: Any = best.dropout.user if path == "dropout.user" else best.towers[0].dim
    if isinstance(among, Choice):
        assert value in among.values
    elif among.step:
        assert min(abs(value - one) for one in (0.1, 0.3, 0.5)) < 1e-9
    else:
        assert isinstance(value, int)
        assert 2 <= value <= 40


def test_parts_of_a_configuration_say_what_is_worth_a_search(config: TrainConfig) -> None:
    assert search_space(config).keys() == {
        "losses.0.temperature",
        "dropout.user",
        "dropout.item",
        "dropout.unknown",
        "training.learning_rate",
    }


def test_the_command_searches_what_it_is_told(
    world_yaml: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["tune", str(world_yaml), "--trials", "1", "--out", str(tmp_path)]
    asked += ["--search", "dropout.user=[0.1, 0.2]", "--set", "training.epochs=1"]
    assert run([*asked, "--preset", "ours"]) == DONE
    told = capsys.readouterr().out
    assert "with dropout.user 0." in told
    assert str(tmp_path / BEST) in told
    assert read_config(tmp_path / BEST).dropout.user in (0.1, 0.2)
