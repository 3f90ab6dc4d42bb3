"""Every item through the item tower, into a bundle."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from export.contract.bundle import (
    BundleLayout,
    IndexReport,
    Lineage,
    Manifest,
    checksum,
    checksums,
    new_folder,
    write_manifest,
)
from export.contract.column_stream import stream_columns
from export.contract.concepts import ConceptTable
from export.contract.errors import BundleError, DataError
from export.contract.ranker import Ranker, RankerFacts
from export.contract.schema import Schema
from export.contract.side import Record, SideName
from export.contract.tables import RecordTable, write_records
from export.embedder import Embedder, Vectors, open_bundle
from export.golden import Golden, golden_queries
from export.golden_ranks import with_ranks
from export.index.tune import TunedKind, tune
from export.ranker import open_ranker, ranker_of
from export.report import page
from export.tower_file import TowerFile

RECALL_K = 100
READ_ROWS = 16_384  # of items, held at a time
TUNING_USERS = 2000


@dataclass(frozen=True)
class RankerParts:
    """What a ranker is, and its files: of what codes items, and of what scores them."""

    facts: RankerFacts
    code: TowerFile
    score: TowerFile

    def open(self, schema: Schema) -> Ranker:
        """Open the ranker as it would be saved.

        Raises:
            BundleError: A file does not fit the schema.
        """
        return ranker_of(schema, self.facts, self.code.open(), self.score.open())


@dataclass(frozen=True)
class Parts:
    """What a bundle is made of.

    `items` carries the extra columns `popularity` (share in 0..1) and `first_seen` (seconds
    since 1970, null where unknown); `users` are real records, for tuning the index on vectors
    that will be searched for, and do not get into the bundle. `concepts` is needed where a feature
    of the schema has `by`, `item_vectors` (by feature, in the order of the items, NaN for none)
    where a user's preference is made of them; `largest_norm` is M of the lift that towers of an
    inner product end in. Without a `ranker` the bundle has none.
    """

    schema: Schema
    towers: Mapping[SideName, TowerFile]
    items: RecordTable
    users: Sequence[Record]
    lineage: Lineage
    parity: Mapping[str, Any]
    metrics: Mapping[str, Any]
    config: str = ""
    concepts: ConceptTable | None = None
    largest_norm: float | None = None
    item_vectors: Mapping[str, Vectors] = field(default_factory=dict)
    ranker: RankerParts | None = None


def write_bundle(
    target: Path, parts: Parts, *, target_recall: float = 0.99, index: TunedKind = "hnsw"
) -> Manifest:
    """Write a bundle; it appears whole, and only once it has been opened, or not at all.

    Args:
        target: The folder; its name becomes the version.
        parts: What goes in.
        target_recall: Recall@100 against exact search that the index is tuned to.
        index: Its kind, unless so few items are searched exactly.

    Raises:
        BundleError: The name is no version, the folder exists, an item cannot be read back, the
            index misses its target, or its library is not installed.

    """
    with new_folder(target) as folder:
        layout = BundleLayout(folder)
        _write_inputs(layout, parts)
        embedder = Embedder.open(layout, parts.schema)
        vectors = _embed(embedder, layout.items)
        np.save(layout.vectors, vectors)
        users = embedder.embed("user", parts.users[:TUNING_USERS])
        report = _write_index(layout, vectors, users, target_recall, index)
        golden = golden_queries(embedder, parts.items.ids, parts.items.records, vectors)
        if parts.ranker is not None:
            golden = _write_ranker(layout, parts, parts.ranker, golden)
        _write_json(layout.golden, golden.model_dump())
        manifest = Manifest(
            version=target.name,
            schema_hash=parts.schema.hash,
            dim=parts.schema.dim,
            items=len(parts.items),
            similarity=parts.schema.similarity,
            largest_norm=parts.largest_norm,
            index=report,
            lineage=parts.lineage,
            checksums=checksums(folder),
        )
        manifest = _write_report(layout, manifest)
        write_manifest(folder, manifest)
        open_bundle(folder)
    return manifest


def _embed(embedder: Embedder, items: Path) -> Vectors:
    """Return the vectors of the items as they were written; raises BundleError for an item."""
    parts = stream_columns(items, embedder.schema.item, "id", READ_ROWS)
    try:
        return np.concatenate([embedder.embed_columns("item", part) for part in parts])
    except DataError as error:
        raise BundleError(str(error)) from error


def _write_inputs(layout: BundleLayout, parts: Parts) -> None:
    """Write what is given; all else of a bundle is made of it."""
    parts.schema.write(layout.schema)
    for side, tower in parts.towers.items():
        tower.save(layout.tower(side))
    if parts.concepts is not None:
        parts.concepts.write(layout.concepts)
    for name, given in parts.item_vectors.items():
        layout.item_vectors(name).parent.mkdir(exist_ok=True)
        np.save(layout.item_vectors(name), given)
    _write_json(layout.parity, parts.parity)
    _write_json(layout.metrics, parts.metrics)
    layout.config.write_text(parts.config, encoding="utf-8")
    extras = {name: parts.items.extras.column(name) for name in parts.items.extras.column_names}
    write_records(
        layout.items, parts.schema.item, "id", parts.items.ids, parts.items.records, extras
    )


def _write_ranker(
    layout: BundleLayout, parts: Parts, ranker: RankerParts, golden: Golden
) -> Golden:
    """Write a ranker and the codes of the items; return the golden queries with its own."""
    ranker.facts.write(layout.ranker_facts)
    ranker.code.save(layout.ranker_item)
    ranker.score.save(layout.ranker)
    opened = open_ranker(layout, parts.schema, ranker.facts)
    np.save(layout.ranker_items, opened.code(parts.items.records))
    return with_ranks(golden, parts.schema, opened)


def _write_index(
    layout: BundleLayout, vectors: Vectors, users: Vectors, target: float, kind: TunedKind
) -> IndexReport:
    queries = users if len(users) else None
    tuned = tune(vectors, k=RECALL_K, target=target, queries=queries, kind=kind)
    if not tuned.reached:
        raise BundleError(
            f"index: recall@{RECALL_K} {tuned.measured_recall:.4f} misses the target {target}"
        )
    if tuned.config.kind != "exact":
        layout.index.parent.mkdir()
        tuned.index.save(layout.index)
    return IndexReport(
        settings=tuned.config.model_dump(),
        target_recall=target,
        measured_recall=tuned.measured_recall,
        k=RECALL_K,
        curve=[
            {**rung.config.model_dump(), **rung.model_dump(exclude={"config"})}
            for rung in tuned.curve
        ],
    )


def _write_report(layout: BundleLayout, manifest: Manifest) -> Manifest:
    """Write the report of all other members; return the manifest that lists it, too."""
    layout.report.write_text(page(layout, manifest), encoding="utf-8")
    listed = {**manifest.checksums, layout.report.name: checksum(layout.report)}
    return manifest.model_copy(update={"checksums": listed})


def _write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
