"""A trained ranker, exported and served: what it answers is what the run's programs say."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from examples.synthetic.generate import generate
from export.bundling import export_run
from export.contract.ranker import Ranker
from export.contract.run import RunLayout
from export.contract.schema import Schema, read_schema
from export.contract.tables import read_records
from tests.end_to_end.processes import Served
from tests.training.conftest import world_config
from training.config import parse_config
from training.ranker.opened import run_rankers
from training.run import run_training

COLD: dict[str, Any] = {"id": "posted", "tags": ["art", "food"], "length_s": 40.0}
KNOWN = {"region": "r1", "age": 33.0}


class World:
    """A run with a ranker, the service of its bundle, and what the run knows of the items."""

    def __init__(self, root: Path) -> None:
        generate(root / "data", users=80, items=60, exposures=12)
        raw = world_config(root / "data")
        raw["ranker"] = {"kind": "din", "dim": 8, "hidden": [8], "epochs": 1, "baseline": False}
        raw["training"] |= {"epochs": 1}
        layout = run_training(parse_config(raw, root / "train.yaml"), root / "run")
        export_run(layout.folder, root / "bundles" / "v1")
        self.schema: Schema = read_schema(layout.schema)
        self.ranker: Ranker = run_rankers(RunLayout(layout.folder), self.schema)["din"]
        table = read_records(layout.items, self.schema.item, "item_id")
        self.records = dict(zip(table.ids, table.records, strict=True))
        self.records["posted"] = self.schema.item.parse(
            {name: value for name, value in COLD.items() if name != "id"}
        )
        self.served = Served(root / "served", root / "bundles" / "v1")

    def expected(
        self, user: dict[str, Any], items: list[str], *, is_warm: bool
    ) -> dict[str, float]:
        """Return what the run's programs say of a user and items."""
        record = self.schema.user.parse(user)
        met = record.get("recent") or []
        assert isinstance(met, list)
        history = self.ranker.code([self.records[one] for one in met])
        codes = self.ranker.code([self.records[one] for one in items])
        place = np.zeros(len(items), dtype=np.int64)
        found = self.ranker.score([record], [is_warm], [history], codes, place)
        return dict(zip(items, found.tolist(), strict=True))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    found = World(tmp_path_factory.mktemp("ranker"))
    status, posted = found.served.ask("POST", "/items", COLD)
    assert (status, posted["state"]) == (201, "cold")
    yield found
    found.served.kill()


@pytest.mark.parametrize(
    ("user", "state"),
    [
        ({**KNOWN, "recent": ["i0001", "posted", "i0005"], "taste": {"art": 2.0}}, "warm"),
        ({**KNOWN, "click_rate": 0.4}, "warm"),
        (KNOWN, "cold"),
        ({}, "fallback"),
    ],
    ids=["warm with a history", "warm without", "cold", "nothing known"],
)
def test_a_served_answer_is_what_the_runs_programs_say(
    world: World, user: dict[str, Any], state: str
) -> None:
    context = {"tab": "feed"}
    asked = {"user": user, "context": context, "k": 61, "rank": "din"}
    status, answer = world.served.ask("POST", "/recall", asked)
    assert (status, answer["state"], answer["rank"]) == (200, state, "din")
    assert len(answer["items"]) == 61
    assert "posted" in answer["items"]
    expected = world.expected({**user, **context}, answer["items"], is_warm=state == "warm")
    found = dict(zip(answer["items"], answer["rank_scores"], strict=True))
    assert found == pytest.approx(expected, abs=1e-5)
    assert answer["rank_scores"] == sorted(answer["rank_scores"], reverse=True)
    assert len(set(answer["rank_scores"])) > 20
