"""From a run to a bundle: everything goes along, and what is not finished is refused."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
import yaml

from export.bundling import export_run
from export.contract.bundle import read_bundle
from export.contract.errors import BundleError, SchemaError
from export.contract.run import RunLayout
from export.contract.tables import read_records
from export.embedder import open_bundle
from export.index.compact import library
from tests.export.forged import sign


def test_every_item_of_the_table_is_in_the_catalogue(exported: Path, run: RunLayout) -> None:
    bundle, embedder = open_bundle(exported)
    items = read_records(run.items, bundle.schema.item, "item_id")
    assert bundle.ids == items.ids
    assert len(bundle.ids) == 60
    np.testing.assert_allclose(bundle.vectors, embedder.embed("item", items.records), atol=1e-6)
    np.testing.assert_allclose(bundle.popularity, items.extras.column("popularity").to_numpy())


def test_catalogue_may_be_what_training_saw(
    commanded: Path, exported: Path, run: RunLayout
) -> None:
    everything, bundle = read_bundle(exported), read_bundle(commanded / "trained-1")
    table = pyarrow.parquet.read_table(run.items)
    trained = dict(zip(table["item_id"].to_pylist(), table["trained"].to_pylist(), strict=True))
    assert bundle.ids == [one for one in everything.ids if trained[one]]
    assert 0 < len(bundle.ids) < len(everything.ids)
    rows = [everything.ids.index(one) for one in bundle.ids]
    np.testing.assert_allclose(bundle.vectors, everything.vectors[rows], atol=1e-6)
    assert np.isfinite(bundle.first_seen).all()  # each has a moment, as it has a train row


def test_given_vectors_and_concepts_go_along(
    commanded: Path, exported: Path, run: RunLayout
) -> None:
    table = pyarrow.parquet.read_table(run.folder.parent / "data" / "looks.parquet").to_pylist()
    looks = {row["item_id"]: row["vector"] for row in table}
    for folder in (exported, commanded / "trained-1"):
        bundle = read_bundle(folder)
        expected = [looks.get(one, [np.nan] * 4) for one in bundle.ids]
        np.testing.assert_array_equal(bundle.item_vectors["looks"], np.array(expected, np.float32))
        told = bundle.concepts.values["item", "maker_rate"]
        items = read_records(run.items, bundle.schema.item, "item_id").records
        assert told.keys() <= {record.get("maker") for record in items}
        assert 0 < max(told.values()) <= 1


def test_bundle_whose_given_vectors_are_of_other_items_is_refused(
    exported: Path, tmp_path: Path
) -> None:
    bundle = shutil.copytree(exported, tmp_path / "v1")
    path = bundle / "item_vectors" / "looks.npy"
    np.save(path, np.load(path)[1:])
    sign(bundle)
    with pytest.raises(BundleError, match=r"looks\.npy: got float32\[59, 4\], expected finite"):
        read_bundle(bundle)


def test_schema_config_and_metrics_are_those_of_the_run(exported: Path, run: RunLayout) -> None:
    assert (exported / "schema.json").read_bytes() == run.schema.read_bytes()
    ours, theirs = (yaml.safe_load((f / "config.yaml").read_text()) for f in (exported, run.folder))
    ours["data"].pop("folder"), theirs["data"].pop("folder")
    assert ours == theirs
    metrics = json.loads(run.metrics.read_bytes())
    assert json.loads((exported / "metrics.json").read_bytes()) == metrics
    lineage, digest = read_bundle(exported).manifest.lineage, metrics["data_digest"]
    assert len(digest) == 64
    assert (lineage.run, lineage.data, lineage.data_digest) == ("run", "data", digest)
    assert lineage.trained_at is not None
    assert lineage.trained_at < lineage.exported_at


def test_a_bundle_knows_where_the_data_lies_from_where_it_lies(
    exported: Path, run: RunLayout, tmp_path: Path
) -> None:
    deep = tmp_path / "a" / "b" / "c" / "v1"
    deep.parent.mkdir(parents=True)
    export_run(run.folder, deep, catalogue="trained")
    for bundle in (exported, deep):
        folder = Path(yaml.safe_load((bundle / "config.yaml").read_text())["data"]["folder"])
        assert not folder.is_absolute()
        assert (bundle / folder).resolve() == run.folder.parent / "data"


def test_a_bundle_tells_nothing_of_the_machine_it_was_made_on(
    exported: Path, run: RunLayout
) -> None:
    places = [str(run.folder.resolve().parent), str(Path(__file__).parents[2]), str(Path.home())]
    for path in [one for one in exported.rglob("*") if one.is_file()]:
        held = path.read_bytes()
        assert [place for place in places if f"{place}/".encode() in held] == [], path.name


def test_where_the_data_ends_in_the_item_log_is_told(exported: Path, commanded: Path) -> None:
    assert read_bundle(exported).manifest.lineage.log_id is None
    assert read_bundle(commanded / "trained-1").manifest.lineage.log_id == "1732000000000-0"


def test_parity_is_written_for_every_row_warm_and_cold(exported: Path) -> None:
    parity = json.loads((exported / "parity.json").read_bytes())
    for side, entities in (("user", 80), ("item", 60)):
        rows = parity[side]["rows"]
        assert parity[side]["max_abs_difference"] <= parity[side]["tolerance"] == 1e-5
        assert sum(n for key, n in rows.items() if key.startswith("warm")) == entities + 1
        assert {int(key.rpartition(" ")[2]) for key in rows} == {1, 7, 64}
        assert sum(rows.values()) == 2 * (entities + 1)


def test_unfinished_run_is_refused(run: RunLayout, tmp_path: Path) -> None:
    half = shutil.copytree(run.folder, tmp_path / "run")
    (half / "metrics.json").unlink()
    with pytest.raises(BundleError, match="no finished run here"):
        export_run(half, tmp_path / "v1")
    with pytest.raises(BundleError, match="no finished run here"):
        export_run(tmp_path / "absent", tmp_path / "v1")
    assert not (tmp_path / "v1").exists()


def test_run_with_a_broken_schema_is_refused(run: RunLayout, tmp_path: Path) -> None:
    broken = shutil.copytree(run.folder, tmp_path / "run")
    (broken / "schema.json").write_text("{}")
    with pytest.raises(SchemaError, match=r"schema\.json"):
        export_run(broken, tmp_path / "v1")


def test_run_whose_program_is_another_fails_parity_or_conversion(
    run: RunLayout, tmp_path: Path
) -> None:
    mixed = shutil.copytree(run.folder, tmp_path / "run")
    shutil.copy(mixed / "item_tower.pt2", mixed / "user_tower.pt2")
    with pytest.raises(BundleError, match=r"user_tower\.pt2: does not fit the schema"):
        export_run(mixed, tmp_path / "v1")
    assert not (tmp_path / "v1").exists()


def test_existing_bundle_is_refused_before_any_work(exported: Path, run: RunLayout) -> None:
    told: list[str] = []
    with pytest.raises(BundleError, match="exists already"):
        export_run(run.folder, exported, on_note=told.append)
    assert told == []
    with pytest.raises(BundleError, match="1 to 64 letters"):
        export_run(run.folder, exported.parent / "no version", on_note=told.append)
    assert told == []


def test_an_index_whose_library_is_not_there_is_refused_before_any_work(
    run: RunLayout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setitem(sys.modules, "faiss", None)
    library.cache_clear()
    with pytest.raises(BundleError, match=r"needs faiss.*pip install 'firstsight\[compact\]'"):
        export_run(run.folder, tmp_path / "v1", index="compact", on_note=told.append)
    assert told == []
