"""A ranker measured as it is served: from records, not from the rows that training encodes."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import firstsight
from export.contract.run import RunLayout
from export.contract.schema import read_schema
from training.embedded import Embedded
from training.evaluate import evaluate
from training.ground import Ground
from training.parts import TRAIN, VALIDATION
from training.prepare import Prepared, log_of, make_encoders
from training.ranker.measure import TOWERS, row_chances
from training.ranker.rows import RankerRows
from training.ranker.train import new_ranker
from training.ranker.validate import predict
from training.subject import Subject, open_subject


@pytest.fixture(scope="module")
def subject(ranked: RunLayout) -> Subject:
    return open_subject(ranked.folder, None)


def test_records_and_encoded_rows_are_scored_alike(subject: Subject, ranked: RunLayout) -> None:
    """Training's rows and what is served differ by nothing but how they come about."""
    ground = Ground.of(subject.config, subject.towers.schema)
    run = Embedded.of(subject, ground.data, ground.split)
    found = row_chances(run, subject.rankers["din"], ground.tests)
    log = log_of(ground.data, ground.split, (TRAIN, VALIDATION))
    final = Prepared(subject.config, ground.data, ground.split, log, read_schema(ranked.schema))
    assert final.config.ranker is not None
    model = new_ranker(final.config.ranker, final)
    model.load_state_dict(torch.load(ranked.ranker.weights))
    rows = RankerRows.of(final, make_encoders(final), "recent", ground.tests)
    expected = torch.from_numpy(predict(model, rows)).sigmoid().numpy()
    interactions = ground.data.interactions
    seen = {
        (u, i)
        for u, i in zip(
            interactions.user[log.is_train], interactions.item[log.is_train], strict=True
        )
    }
    pairs = zip(interactions.user[ground.tests], interactions.item[ground.tests], strict=True)
    fresh = np.array([pair not in seen for pair in pairs])  # the others leave their own pair out
    assert fresh.sum() > 500
    assert np.abs(found - expected)[fresh].max() < 1e-5


def test_evaluation_measures_towers_ranker_and_baseline(subject: Subject) -> None:
    found = evaluate([subject])
    assert found["ranker"].keys() == {TOWERS, "din", "base"}
    assert found["ranker"][TOWERS]["mean"] == found["rows"]["model"]
    chances = [found["ranker"][kind]["mean"]["warm"]["gauc"] for kind in ("din", "base")]
    assert all(0 < one < 1 for one in chances)
    assert chances[0] != chances[1]


def test_seeds_are_told_as_mean_and_spread(subject: Subject) -> None:
    both = evaluate([subject, subject])["ranker"]["din"]
    alone = evaluate([subject])["ranker"]["din"]
    assert both["mean"] == alone["mean"]
    assert both["spread"]["warm"]["gauc"] == [alone["mean"]["warm"]["gauc"]] * 2


def test_a_run_without_a_ranker_is_measured_as_before(trained: RunLayout) -> None:
    assert evaluate([open_subject(trained.folder, None)])["ranker"] == {}


def test_the_command_prints_them(
    ranked: RunLayout, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "figures.json"
    assert firstsight.run(["evaluate", str(ranked.folder), "--json", str(file)]) == 0
    told = capsys.readouterr().out
    table = told[told.index("GAUC of exposed rows: the towers' scores, and the rankers'") :]
    figures: Any = json.loads(file.read_text())["ranker"]
    for kind in (TOWERS, "din", "base"):
        line = next(one for one in table.splitlines() if f" {kind} " in one)
        assert f"{figures[kind]['mean']['warm']['gauc']:.4f}" in line
