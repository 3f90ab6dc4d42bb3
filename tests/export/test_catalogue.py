"""Writing a bundle: what gets in, what cannot, and that a failure leaves nothing behind."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from export import catalogue
from export.catalogue import Parts, write_bundle
from export.contract.bundle import Lineage, read_bundle
from export.contract.errors import BundleError
from export.contract.side import SIDES
from export.contract.tables import RecordTable
from export.embedder import open_bundle
from export.index.cached import open_index
from export.index.compact import CompactIndex
from export.index.hnsw import HnswIndex
from export.index.tune import tune
from tests.export.forged import names_in
from tests.tiny import tiny_bundle, tiny_file, tiny_items, tiny_schema


@pytest.fixture
def parts() -> Parts:
    schema = tiny_schema()
    return Parts(
        schema=schema,
        towers={s: tiny_file(schema, s) for s in SIDES},
        items=tiny_items(schema, 40),
        users=[{"country": "de"}, {"taste": {"art": 1.0}}],
        lineage=Lineage(
            run="r", data="d", data_digest="e", exported_at=datetime.now(UTC), code="c"
        ),
        parity={"user": {"rows": {"warm, batch 7": 9}, "max_abs_difference": 0, "tolerance": 1}},
        metrics={"recall": 0.5},
        config="tower: {}\n",
    )


def test_vectors_are_those_of_the_items_in_order(tiny: Path) -> None:
    bundle, embedder = open_bundle(tiny)
    items = tiny_items(tiny_schema(), 40)
    assert bundle.ids == items.ids
    np.testing.assert_allclose(bundle.vectors, embedder.embed("item", items.records), atol=1e-6)


def test_facts_of_the_run_go_along(parts: Parts, tmp_path: Path) -> None:
    manifest = write_bundle(tmp_path / "v1", parts)
    assert (tmp_path / "v1" / "config.yaml").read_text() == "tower: {}\n"
    assert '"recall": 0.5' in (tmp_path / "v1" / "metrics.json").read_text()
    assert json.loads((tmp_path / "v1" / "parity.json").read_bytes()) == parts.parity
    assert read_bundle(tmp_path / "v1").manifest == manifest
    assert (manifest.version, manifest.items, manifest.lineage) == ("v1", 40, parts.lineage)


def test_items_below_the_asked_number_of_interactions_are_embedded_as_cold(
    parts: Parts, tmp_path: Path
) -> None:
    item = parts.schema.item.model_copy(update={"present_when": "interactions >= 10"})
    schema = parts.schema.model_copy(update={"item": item})
    write_bundle(tmp_path / "v1", replace(parts, schema=schema))
    bundle, embedder = open_bundle(tmp_path / "v1")
    clicks = [record.get("clicks") for record in parts.items.records]
    shown = [count is not None and float(str(count)) >= 10 for count in clicks]
    expected = embedder.embed("item", parts.items.records, shown)
    np.testing.assert_allclose(bundle.vectors, expected, atol=1e-6)
    always = embedder.embed("item", parts.items.records, [count is not None for count in clicks])
    assert not np.allclose(bundle.vectors, always, atol=1e-3)


def test_bundle_of_no_items_is_a_bundle(parts: Parts, tmp_path: Path) -> None:
    nothing = RecordTable([], [], parts.items.extras.slice(0, 0))
    write_bundle(tmp_path / "v1", replace(parts, items=nothing, users=[]))
    bundle, _ = open_bundle(tmp_path / "v1")
    assert bundle.vectors.shape == (0, 8)
    assert len(open_index(bundle)) == 0


def test_larger_catalogue_has_an_index_file_that_is_opened(parts: Parts, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    records = [
        {"topics": [t for t in tiny_schema().tables["topic"] if rng.random() < 0.4], "length": n}
        for n in rng.lognormal(3, 1, 2300).tolist()
    ]
    extras = pa.table({"popularity": [0.0] * 2300, "first_seen": pa.nulls(2300, pa.float64())})
    items = RecordTable([f"n{n}" for n in range(2300)], records, extras)
    users = [{"taste": {t: 1.0}} for t in tiny_schema().tables["topic"]]
    manifest = write_bundle(tmp_path / "v1", replace(parts, items=items, users=users))
    assert "index/main.bin" in manifest.checksums
    bundle, _ = open_bundle(tmp_path / "v1")
    index = open_index(bundle)
    assert isinstance(index, HnswIndex)
    assert str(bundle.layout.vectors) not in Path("/proc/self/maps").read_text()
    labels, scores = index.search(bundle.vectors[:5], 3)
    assert scores[:, 0] == pytest.approx(1, abs=1e-5)


def test_a_compact_bundle_is_searched_in_its_files(tmp_path: Path) -> None:
    folder = tiny_bundle(tmp_path, items=2100, index="compact")
    bundle, _ = open_bundle(folder)
    report = bundle.manifest.index
    assert report.settings["kind"] == report.curve[-1]["kind"] == "compact"
    assert all(rung["near"] > 0 and rung["cpu_us"] > 0 for rung in report.curve)
    assert report.measured_recall >= report.target_recall
    index = open_index(bundle)
    assert isinstance(index, CompactIndex)
    assert index._vectors is bundle.vectors
    mapped = Path("/proc/self/maps").read_text()
    assert str(bundle.layout.vectors) in mapped
    assert str(bundle.layout.index) in mapped
    _, scores = index.search(bundle.vectors[:5], 3)
    assert scores[:, 0] == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("name", ["-v", "a b", "x" * 65])
def test_folder_named_as_no_version_is_refused(parts: Parts, tmp_path: Path, name: str) -> None:
    with pytest.raises(BundleError, match="1 to 64 letters"):
        write_bundle(tmp_path / name, parts)
    assert names_in(tmp_path) == []


def test_missed_recall_target_leaves_nothing_behind(
    parts: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tuned = tune(np.eye(8, dtype=np.float32), k=3, target=0.5)
    missed = replace(tuned, reached=False, measured_recall=0.4)
    monkeypatch.setattr(catalogue, "tune", lambda *args, **kwargs: missed)
    with pytest.raises(BundleError, match=r"recall@100 0\.4000 misses the target 0\.99"):
        write_bundle(tmp_path / "v1", parts)
    assert names_in(tmp_path) == []


def test_bundle_that_would_not_open_is_not_written(parts: Parts, tmp_path: Path) -> None:
    items = RecordTable(
        parts.items.ids, parts.items.records, parts.items.extras.drop_columns(["popularity"])
    )
    with pytest.raises(BundleError, match="popularity"):
        write_bundle(tmp_path / "v1", replace(parts, items=items))
    assert names_in(tmp_path) == []


@pytest.mark.parametrize("ids", [["a"] * 40, [""] * 40])
def test_ids_that_are_none_are_refused(parts: Parts, tmp_path: Path, ids: list[str]) -> None:
    items = RecordTable(ids, parts.items.records, parts.items.extras)
    with pytest.raises(BundleError, match=r"items\.parquet"):
        write_bundle(tmp_path / "v1", replace(parts, items=items))
    assert names_in(tmp_path) == []
