from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from tests.training.easyrec.made import TRAIN, easyrec, plan_of, refused
from training.config import TrainingConfig

RATE = """exponential_decay_learning_rate {
    initial_learning_rate: 0.003 decay_steps: 1000 burnin_steps: 5 }"""


def training(text: str, folder: Path, *, rows: int | None = None) -> dict[str, Any]:
    plan = plan_of(text, folder, rows=rows)
    assert refused(plan) == []
    TypeAdapter(TrainingConfig).validate_python(plan.training)
    return plan.training


def with_rate(rate: str, optimiser: str = "adam_optimizer", more: str = "") -> str:
    assert RATE in TRAIN
    text = easyrec().replace(RATE, rate).replace("adam_optimizer", optimiser)
    return text.replace("learning_rate: {", f"{more} learning_rate: {{", 1)


@pytest.mark.parametrize(
    ("rate", "expected"),
    [
        (RATE, (0.003, 0.1, "cosine")),
        ("constant_learning_rate { learning_rate: 0.01 }", (0.01, 0.0, "constant")),
        ("constant_learning_rate {}", (0.002, 0.0, "constant")),
        ("manual_step_learning_rate { initial_learning_rate: 0.1 }", (0.1, 0.0, "cosine")),
        (
            "cosine_decay_learning_rate { learning_rate_base: 0.02 warmup_steps: 10 }",
            (0.02, 0.2, "cosine"),
        ),
        ("poly_decay_learning_rate { learning_rate_base: 0.02 power: 2 }", (0.02, 0.0, "cosine")),
        (
            "transformer_learning_rate { learning_rate_base: 0.02 warmup_steps: 9999 }",
            (0.02, 0.5, "cosine"),
        ),
    ],
)
def test_every_schedule_is_rate_rise_and_fall(
    rate: str, expected: tuple[float, float, str], tmp_path: Path
) -> None:
    found = training(with_rate(rate), tmp_path)
    assert (found["learning_rate"], found["warmup"], found["decay"]) == expected


@pytest.mark.parametrize("name", ["adamw_optimizer", "lazy_adam_optimizer", "adam_async_optimizer"])
def test_every_adam_is_adamw(name: str, tmp_path: Path) -> None:
    found = training(with_rate(RATE, name, "weight_decay: 1e-4 beta1: 0.8"), tmp_path)
    assert (found["learning_rate"], found["weight_decay"]) == (0.003, 1e-4)


def test_the_rate_of_another_optimiser_is_noted(tmp_path: Path) -> None:
    plan = plan_of(with_rate(RATE, "adagrad_optimizer"), tmp_path)
    assert refused(plan) == []
    assert "learning_rate" not in plan.training
    noted = {entry.place: entry.says for entry in plan.ledger.of("noted")}
    assert "AdamW" in noted["train_config.optimizer_config.adagrad_optimizer"]


@pytest.mark.parametrize(("norm", "expected"), [("5.0", 5.0), ("0", None)])
def test_the_bound_of_the_gradients_norm_is_taken_over(
    tmp_path: Path, norm: str, expected: float | None
) -> None:
    told = f"train_config {{ gradient_clipping_by_norm: {norm}"
    plan = plan_of(easyrec().replace("train_config {", told), tmp_path)
    assert refused(plan) == []
    assert plan.training.get("clip_norm") == expected


def test_a_rate_of_0_is_refused(tmp_path: Path) -> None:
    plan = plan_of(with_rate("constant_learning_rate { learning_rate: 0 }"), tmp_path)
    assert [told for _, told in refused(plan)] == ["expected a rate above 0"]


@pytest.mark.parametrize(
    ("steps", "passes", "rows", "epochs", "why"),
    [
        (50, 0, None, 10, "not known: 50 steps of 64 rows are 3,200 rows"),
        (50, 0, 900, 4, "50 steps of 64 rows over 900 samples"),
        (50, 0, 99_999, 1, "over 99999 samples"),
        (50, 2, 900, 2, "num_epochs"),
        (50, 9, 900, 4, "50 steps"),
        (0, 3, None, 3, "num_epochs"),
        (0, 0, 900, 10, "without end"),
    ],
)
def test_steps_are_passes_over_the_samples(
    steps: int, passes: int, rows: int | None, epochs: int, why: str, tmp_path: Path
) -> None:
    text = easyrec(data=f"num_epochs: {passes}").replace("num_steps: 50", f"num_steps: {steps}")
    plan = plan_of(text, tmp_path, rows=rows)
    assert plan.training["epochs"] == epochs
    assert why in plan.epochs_why


def test_what_cannot_be_told_without_rows_or_steps_is_noted(tmp_path: Path) -> None:
    noted = {e.place: e.says for e in plan_of(easyrec(), tmp_path).ledger.of("noted")}
    assert "--samples tells" in noted["train_config.num_steps"]
    plan = plan_of(easyrec().replace("num_steps: 50", ""), tmp_path)
    assert plan.training["warmup"] == 0
    assert any(e.place.endswith("burnin_steps") for e in plan.ledger.of("noted"))


def test_the_batch_is_easyrecs(tmp_path: Path) -> None:
    assert training(easyrec(), tmp_path)["batch"] == 64
    assert training(easyrec().replace("batch_size: 64", ""), tmp_path)["batch"] == 32


def test_a_file_without_training_has_our_defaults(tmp_path: Path) -> None:
    text = easyrec()
    bare = text[text.index("data_config") :]
    assert training(bare, tmp_path) == {"epochs": 10, "batch": 64, "seed": 1}
