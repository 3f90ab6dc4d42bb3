"""A trained ranker becomes ONNX files that say what the programs say."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from export.contract.bundle import BundleLayout
from export.contract.errors import BundleError
from export.contract.run import RunLayout
from export.contract.schema import read_schema
from export.contract.tables import read_records
from export.embedder import open_bundle
from export.onnx import TOLERANCE
from export.ranker import open_ranker
from export.ranker_file import convert_ranker, program_ranker, prove_ranker


def test_parity_is_proven_at_all_sizes_warm_and_cold(exported: Path) -> None:
    found = json.loads((exported / "parity.json").read_bytes())["ranker"]
    states = {f"{state}, batch {size}" for state in ("warm", "cold") for size in (1, 7, 64)}
    assert found["rows"].keys() == states
    assert all(count > 8 for count in found["rows"].values())
    assert 0 <= found["max_abs_difference"] <= TOLERANCE


@pytest.mark.parametrize("length", [0, 1, 5])
@pytest.mark.parametrize("size", [1, 7, 64])
def test_programs_and_files_say_the_same(
    run: RunLayout, exported: Path, size: int, length: int
) -> None:
    bundle, _ = open_bundle(exported)
    assert bundle.ranker is not None
    facts = bundle.ranker.facts
    files = open_ranker(bundle.layout, bundle.schema, facts)
    programs = program_ranker(run.ranker, bundle.schema, facts)
    users = read_records(run.users, bundle.schema.user, "user_id").records[:size]
    rng = np.random.default_rng(size)
    user = np.repeat(np.arange(len(users)), 3)
    codes = bundle.ranker.codes
    histories = [codes[rng.integers(len(codes), size=length)] for _ in users]
    for is_warm in (True, False):
        present = [is_warm] * len(users)
        candidates = codes[rng.integers(len(codes), size=len(user))]
        asked = (users, present, histories, candidates, user)
        got, expected = files.score(*asked), programs.score(*asked)
        assert np.abs(got - expected).max() <= 1e-5
        assert np.ptp(got) > 0


def test_a_cold_item_and_a_warm_one_are_coded_apart(exported: Path) -> None:
    bundle, _ = open_bundle(exported)
    assert bundle.ranker is not None
    ranker = open_ranker(bundle.layout, bundle.schema, bundle.ranker.facts)
    record = bundle.schema.item.parse({"tags": ["t1"], "own_id": bundle.ids[0], "shown": 9.0})
    warm, cold, bare = ranker.code([record, record, {"tags": ["t1"]}], [True, False, False])
    assert not np.array_equal(warm, cold)
    np.testing.assert_array_equal(cold, bare)


def test_weights_of_another_run_are_noticed(run: RunLayout, tmp_path: Path) -> None:
    schema = read_schema(run.schema)
    parts = convert_ranker(run, schema)
    assert parts is not None
    users = read_records(run.users, schema.user, "user_id").records
    items = read_records(run.items, schema.item, "item_id").records
    other = RunLayout(Path(shutil.copytree(run.folder, tmp_path / "run")))
    program = torch.export.load(other.ranker.score)
    with torch.no_grad():
        next(iter(program.state_dict.values())).add_(0.05)
    torch.export.save(program, other.ranker.score)
    with pytest.raises(BundleError, match="ranker, warm, batch 1: torch and onnxruntime differ"):
        prove_ranker(other.ranker, schema, parts, users, items)


def test_large_tables_of_a_ranker_lie_beside_it(
    run: RunLayout, exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("export.onnx.LARGE_TABLE", 500)
    schema = read_schema(run.schema)
    parts = convert_ranker(run, schema)
    assert parts is not None
    assert parts.code.beside
    layout = BundleLayout(tmp_path)
    parts.code.save(layout.ranker_item)
    parts.score.save(layout.ranker)
    assert (tmp_path / "ranker_item.onnx.data").is_file()
    records = read_records(run.items, schema.item, "item_id").records
    found = open_ranker(layout, schema, parts.facts).code(records)
    np.testing.assert_array_equal(found, np.load(BundleLayout(exported).ranker_items))


def test_a_run_without_a_ranker_gives_none(run: RunLayout, tmp_path: Path) -> None:
    shutil.copytree(run.folder, tmp_path / "run", ignore=shutil.ignore_patterns("ranker"))
    assert convert_ranker(RunLayout(tmp_path / "run"), read_schema(run.schema)) is None


def test_a_program_that_does_not_fit_is_refused(run: RunLayout, tmp_path: Path) -> None:
    other = RunLayout(Path(shutil.copytree(run.folder, tmp_path / "run")))
    shutil.copy(other.ranker.code, other.ranker.score)
    with pytest.raises(BundleError, match=r"score.pt2: does not fit the schema"):
        convert_ranker(other, read_schema(run.schema))


def test_the_catalogue_goes_with_the_codes(commanded: Path) -> None:
    bundle, _ = open_bundle(commanded / "trained-1")
    assert bundle.ranker is not None
    facts = replace(bundle.ranker).facts
    assert bundle.ranker.codes.shape == (len(bundle.ids), facts.width)
    assert facts.history == "val_1"
