"""The original DropoutNet: one command fits factors and trains on them; then export and recall."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from examples.synthetic.generate import generate
from firstsight import DONE, run
from tests.once import once

EXAMPLE = Path(__file__).parents[2] / "examples" / "synthetic" / "dropoutnet_original.yaml"

FANS = "{kind: vector, aggregate: user_vectors, vectors: user_factors.parquet}"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of data, run and bundle, made by the example's commands."""

    def make(folder: Path) -> None:
        generate(folder / "data", users=300, items=200, exposures=30, seed=1)
        train = ["train", str(EXAMPLE), "--out", str(folder / "run")]
        folders = ["--set", f"data.folder={folder / 'data'}"]
        assert run([*train, *folders, "--set", f"item.preference.fans={FANS}"]) == DONE
        assert run(["export", str(folder / "run"), "--users", "--out", str(folder / "b")]) == DONE

    return once(tmp_path_factory, "dropoutnet_original", make)


def rows(made: Path) -> pa.Table:
    return pq.read_table(made / "data" / "interactions.parquet")


def recalled(made: Path) -> dict[str, list[str]]:
    """Return the 30 items recalled for each user of the run."""
    out = made / "recalled.parquet"
    users = str(made / "run" / "users.parquet")
    command = ["recall", str(made / "b"), "--users", users, "--k", "30", "--out", str(out)]
    assert run(command) == DONE
    found: dict[str, list[str]] = {}
    for row in pq.read_table(out).to_pylist():
        found.setdefault(row["user_id"], []).append(row["item_id"])
    return found


def test_one_command_fits_factors_of_the_train_rows_and_trains_on_them(made: Path) -> None:
    config = (made / "run" / "config.yaml").read_text(encoding="utf-8")
    assert "kind: reconstruction" in config
    losses = [
        one["loss"] for one in json.loads((made / "run" / "metrics.json").read_text())["epochs"]
    ]
    assert losses[-1] < 0.5 * losses[0]
    cold = set(pq.read_table(made / "data" / "cold.parquet")["id"].to_pylist())
    factors = pq.read_table(made / "data" / "item_factors.parquet")
    assert not cold & set(factors["item_id"].to_pylist())


def test_items_that_were_clicked_have_the_mean_of_their_users_factors(made: Path) -> None:
    items = pq.read_table(made / "b" / "items.parquet").to_pylist()
    cold = set(pq.read_table(made / "data" / "cold.parquet")["id"].to_pylist())
    fans = {row["id"]: row["fans"] for row in items}
    assert {len(one) for one in fans.values() if one is not None} == {8}
    assert all(fans[one] is None for one in cold & fans.keys())
    assert sum(one is not None for one in fans.values()) > 0.5 * len(fans)
    assert not list((made / "b").glob("item_vectors/fans*"))


def test_the_lift_keeps_the_order_of_the_inner_product(made: Path) -> None:
    manifest = json.loads((made / "b" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["similarity"] == "inner_product"
    vectors = np.load(made / "b" / "vectors.npy")
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    assert np.ptp(np.linalg.norm(vectors[:, :-1], axis=1)) > 0.1  # as long as the towers made them


def test_it_recalls_what_users_click_next_and_items_that_nobody_clicked_yet(made: Path) -> None:
    log, found = rows(made), recalled(made)
    cold = set(pq.read_table(made / "data" / "cold.parquet")["id"].to_pylist())
    test = log.filter(pc.and_(pc.equal(log["split"], "test"), pc.equal(log["label"], 1)))
    items = pq.read_table(made / "data" / "items.parquet").num_rows
    hits: dict[str, list[bool]] = {"warm": [], "cold item": []}
    for user, item in zip(test["user_id"].to_pylist(), test["item_id"].to_pylist(), strict=True):
        if user not in cold:
            hits["cold item" if item in cold else "warm"].append(item in found[user])
    chance = 30 / items
    assert np.mean(hits["warm"]) > 2 * chance
    assert np.mean(hits["cold item"]) > 1.5 * chance
