"""From a run to a bundle: both towers as ONNX, proven, and the catalogue embedded."""

import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import yaml
from numpy.typing import NDArray

from export.catalogue import Parts, RankerParts, write_bundle
from export.contract.bundle import LOG_ID, Lineage, Manifest, check_target
from export.contract.concepts import read_concepts
from export.contract.errors import BundleError
from export.contract.run import RunLayout
from export.contract.schema import Schema, read_schema
from export.contract.side import SIDES, SideName
from export.contract.similarity import ROOM
from export.contract.tables import RecordTable, read_records, write_as_of
from export.index.tune import TUNED, TunedKind
from export.onnx import convert, longest, prove_parity
from export.ranker_file import convert_ranker, prove_ranker
from export.tower_file import TowerFile

Catalogue = Literal["all", "trained"]
OnNote = Callable[[str], None]


def export_run(
    run: Path,
    target: Path,
    *,
    catalogue: Catalogue = "all",
    target_recall: float = 0.99,
    index: TunedKind = "hnsw",
    log_id: str | None = None,
    on_note: OnNote = lambda text: None,
) -> Manifest:
    """Turn a finished run into a bundle.

    Args:
        run: A run folder.
        target: The bundle's folder; its name becomes the version.
        catalogue: Every item of the items table, or only those with a train row.
        target_recall: Recall@100 that the index is tuned to.
        index: Its kind, unless so few items are searched exactly.
        log_id: The place in the service's item log up to which the run's data goes.
        on_note: Told facts worth printing.

    Raises:
        BundleError: The run is not finished, parity fails, the index misses its target or its
            library is not installed, or the folder exists.
    """
    check_target(target)
    TUNED[index].check_installed()
    if log_id is not None and not LOG_ID.fullmatch(log_id):
        raise BundleError(f"log id {log_id!r}: expected one like '1732000000000-0'")
    layout = RunLayout(run)
    if not layout.metrics.is_file():
        raise BundleError(f"{run}: no finished run here (metrics.json is missing)")
    parts = _parts(layout, catalogue, log_id, on_note)
    parts = replace(parts, config=_config(layout, target))
    manifest = write_bundle(target, parts, target_recall=target_recall, index=index)
    found = manifest.index
    on_note(
        f"{manifest.items} items embedded; index {found.settings['kind']}: "
        f"recall@{found.k} {found.measured_recall:.4f} (target {found.target_recall})"
    )
    return manifest


def export_users(run: Path, target: Path) -> None:
    """Write the users of a finished run, as of the end of its training.

    What is stored of a user after that moment is newer than this table, however late it is loaded.
    """
    layout = RunLayout(run)
    finished_at = json.loads(layout.metrics.read_bytes())["finished_at"]
    part = target.with_suffix(".part")
    write_as_of(layout.users, part, datetime.fromisoformat(finished_at))
    part.replace(target)


def _parts(layout: RunLayout, catalogue: Catalogue, log_id: str | None, on_note: OnNote) -> Parts:
    """Make of a run what goes into its bundle."""
    schema = read_schema(layout.schema)
    users = read_records(layout.users, schema.user, "user_id")
    items = read_records(layout.items, schema.item, "item_id")
    kept = _trained(items) if catalogue == "trained" else np.arange(len(items.ids))
    embedded = _only(items, kept)
    towers, largest_norm = _towers(layout, schema, embedded)
    ranker = convert_ranker(layout, schema)
    metrics = json.loads(layout.metrics.read_bytes())
    tables = {"user": users, "item": items}
    return Parts(
        schema=schema,
        towers=towers,
        items=replace(embedded, extras=embedded.extras.drop_columns(["trained"])),
        users=users.records,
        lineage=_lineage(layout, metrics, log_id),
        parity={
            **{
                side: _proven(
                    layout, schema, side, towers[side], tables[side], largest_norm, on_note
                )
                for side in SIDES
            },
            **_proven_ranker(layout, schema, ranker, users, items, on_note),
        },
        metrics=metrics,
        concepts=read_concepts(layout.concepts, schema),
        largest_norm=largest_norm,
        item_vectors={
            name: np.load(layout.item_vectors(name), allow_pickle=False)[kept]
            for name in schema.user.item_vectors
        },
        ranker=ranker,
    )


def _config(layout: RunLayout, target: Path) -> str:
    """Return the run's configuration; its data folder is relative to the bundle now."""
    raw = yaml.safe_load(layout.config.read_text(encoding="utf-8"))
    folder = (layout.folder / raw["data"]["folder"]).resolve()
    raw["data"]["folder"] = os.path.relpath(folder, target.resolve())
    return yaml.safe_dump(raw, sort_keys=False)


def _lineage(layout: RunLayout, metrics: dict[str, Any], log_id: str | None) -> Lineage:
    return Lineage(
        run=layout.folder.resolve().name,
        data=metrics["data"],
        data_digest=metrics.get("data_digest"),
        trained_at=metrics["finished_at"],
        exported_at=datetime.now(UTC),
        code=_code(),
        log_id=log_id,
    )


def _proven(
    layout: RunLayout,
    schema: Schema,
    side: SideName,
    tower: TowerFile,
    table: RecordTable,
    largest_norm: float | None,
    on_note: OnNote,
) -> dict[str, Any]:
    """Prove the parity of one side and tell how near it comes."""
    parity = prove_parity(layout, schema, side, tower.open(), table.records, largest_norm)
    rows, worst = sum(parity["rows"].values()), parity["max_abs_difference"]
    on_note(f"{side} tower: torch and onnxruntime differ by {worst:.1e} over {rows} rows")
    if tower.beside:
        mib = tower.beside_bytes / 2**20
        on_note(f"{side} tower: {mib:.0f} MiB of tables lie in a data file beside it")
    return parity


def _proven_ranker(
    layout: RunLayout,
    schema: Schema,
    ranker: RankerParts | None,
    users: RecordTable,
    items: RecordTable,
    on_note: OnNote,
) -> dict[str, Any]:
    """Prove the parity of the ranker, if there is one, and tell how near it comes."""
    if ranker is None:
        return {}
    parity = prove_ranker(layout.ranker, schema, ranker, users.records, items.records)
    rows, worst = sum(parity["rows"].values()), parity["max_abs_difference"]
    on_note(f"ranker: torch and onnxruntime differ by {worst:.1e} over {rows} rows")
    return {"ranker": parity}


def _towers(
    layout: RunLayout, schema: Schema, items: RecordTable
) -> tuple[dict[SideName, TowerFile], float | None]:
    """Return both tower files, and M where the similarity asks for a lift."""
    towers = {side: convert(layout, schema, side) for side in SIDES}
    if schema.similarity == "cosine":
        return towers, None
    largest_norm = ROOM * (longest(towers["item"].open(), schema.item, items.records) or 1.0)
    return {side: one.lifted(side, largest_norm) for side, one in towers.items()}, largest_norm


def _trained(items: RecordTable) -> NDArray[np.int64]:
    """Return the rows of the items that have a train row."""
    return np.flatnonzero(items.extras.column("trained").to_numpy(zero_copy_only=False))


def _only(items: RecordTable, rows: NDArray[np.int64]) -> RecordTable:
    return RecordTable(
        [items.ids[row] for row in rows],
        [items.records[row] for row in rows],
        items.extras.take(pa.array(rows)),
    )


def _code() -> str:
    """Return the version of this code, with its commit where it runs from a checkout."""
    release = version("firstsight")
    here = Path(__file__).parent
    asked = ["git", "-C", str(here), "describe", "--always", "--dirty"]
    try:
        commit = subprocess.run(asked, capture_output=True, text=True, check=True, timeout=5)
    except (OSError, subprocess.SubprocessError):
        return release
    return f"{release}+{commit.stdout.strip()}"
