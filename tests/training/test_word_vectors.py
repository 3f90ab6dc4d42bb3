from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from export.contract.errors import ConfigError, DataError
from tests.training.tables import write
from training.config import parse_config
from training.model import TwoTower
from training.prepare import Prepared, prepare
from training.run import Reporter, run_training
from training.word_vectors import start_from_vectors

TITLES = ["Red car", "red CAT", "Green cat", "green car"]


def raw(folder: Path, **options: Any) -> dict[str, Any]:
    """Write eight users with clicks on four items with titles; return a configuration."""
    rows = {
        "user_id": [f"u{n}" for n in range(8) for _ in "12"],
        "item_id": [f"i{(n + k) % 4}" for n in range(8) for k in (0, 1)],
        "split": ["train"] * 12 + ["validation"] * 2 + ["test"] * 2,
    }
    users = {"user_id": [f"u{n}" for n in range(8)], "sex": list("fm" * 4)}
    items = {"item_id": [f"i{n}" for n in range(4)], "title": TITLES}
    write(folder, interactions=rows, users=users, items=items)
    return {
        "data": {"folder": str(folder)},
        "user": {"content": {"sex": {"kind": "category"}}},
        "item": {"content": {"title": {"kind": "text", **options}}},
        "split": {"kind": "given"},
        "tower": {"kind": "additive", "dim": 8},
        "losses": [{"kind": "in_batch_softmax"}],
        "negatives": [{"kind": "in_batch"}],
        "training": {"epochs": 1, "learning_rate": 1e-9, "refit": False, "batch": 4},
    }


def prepared(folder: Path, text: str, **options: Any) -> Prepared:
    (folder / "words.vec").write_text(text, encoding="utf-8")
    given = raw(folder, **{"vectors": "words.vec", "dim": 2, **options})
    return prepare(parse_config(given, folder / "train.yaml"))


def started(folder: Path, text: str, **options: Any) -> tuple[dict[str, Any], list[str]]:
    """Return the rows that the words begin with, and what was told."""
    found = prepared(folder, text, **options)
    torch.manual_seed(1)
    model = TwoTower(found.config, found.schema)
    notes = start_from_vectors(model, found.config, found.schema)
    rows = model.table("item.title").detach().numpy()
    words = found.schema.tables["item.title"]
    return {word: rows[3 + place] for place, word in enumerate(words)}, notes


def test_rows_begin_as_the_vectors_of_their_words(tmp_path: Path) -> None:
    rows, notes = started(tmp_path, "3 2\nred 3 4\ncat 0 5\nmoon 1 1\n")
    assert set(rows) == {"car", "cat", "green", "red"}
    scale = np.linalg.norm(rows["cat"]) / 5
    np.testing.assert_allclose(rows["red"], scale * np.array([3, 4]), rtol=1e-5)
    np.testing.assert_allclose(rows["cat"], scale * np.array([0, 5]), rtol=1e-5)
    assert 0.01 < np.linalg.norm(rows["cat"]) < 0.3  # as long as others of a table of one side
    assert notes == ["item.title: 2 of 4 words begin from words.vec"]


def test_without_vectors_rows_begin_elsewhere(tmp_path: Path) -> None:
    given = started(tmp_path, "red 3 4\ncat 0 5\n")[0]
    found = prepare(parse_config(raw(tmp_path, dim=2), tmp_path / "t.yaml"))
    torch.manual_seed(1)
    model = TwoTower(found.config, found.schema)
    assert start_from_vectors(model, found.config, found.schema) == []
    rows = model.table("item.title").detach().numpy()
    place = 3 + found.schema.tables["item.title"].index("red")
    assert not np.allclose(rows[place], given["red"], atol=1e-4)


def test_a_run_begins_from_them(tmp_path: Path) -> None:
    notes: list[str] = []
    config = prepared(tmp_path, "red 3 4\ngreen -3 -4\n").config
    run_training(config, tmp_path / "run", reporter=Reporter(note=notes.append))
    assert "item.title: 2 of 4 words begin from words.vec" in notes
    weights = torch.load(tmp_path / "run" / "weights.pt")
    table = next(rows for name, rows in weights.items() if "item/title" in name)
    rows = table.numpy()[3:].astype(np.float64)
    directions = {tuple(np.round(row / np.linalg.norm(row), 2).tolist()) for row in rows}
    assert {(0.6, 0.8), (-0.6, -0.8)} <= directions


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("red 1 2 3\n", r"words\.vec, line 1: got 3 numbers .* expected 2, the dim of item\.title"),
        ("red 1 2\ncat 1\n", "line 2: got 1 numbers"),
        ("red 1 x\n", "line 1: expected finite numbers"),
        ("red 1 nan\n", "line 1: expected finite numbers"),
        ("moon 1 2\nRed 1 2\n", "no word of item.title"),
        ("", "no word of item.title"),
    ],
)
def test_a_bad_file_is_named_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        started(tmp_path, text)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.vec: no such file, and item\.content\.title"):
        started(tmp_path, "", vectors="none.vec")
