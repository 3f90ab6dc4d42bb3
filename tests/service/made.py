"""Generations over made vectors, without files or towers."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa

from export.contract.bundle import Bundle, BundleLayout, IndexReport, Lineage, Manifest
from export.contract.concepts import ConceptTable
from export.contract.features import Raw
from export.embedder import Vectors
from export.index.base import IndexSettings
from export.index.exact import ExactConfig
from service.generation import Generation
from service.records import ItemRecord
from tests.tiny import DIM, tiny_schema


def unit_vectors(count: int, seed: int) -> Vectors:
    """Make float32[count, DIM] random unit vectors."""
    values = np.random.default_rng(seed).standard_normal((count, DIM)).astype(np.float32)
    vectors: Vectors = values / np.linalg.norm(values, axis=1, keepdims=True)
    return vectors


def made_bundle(vectors: Vectors) -> Bundle:
    """Make a bundle of items i0, i1, ... with topics and, of even ones, clicks."""
    count = len(vectors)
    schema = tiny_schema(count)
    report = IndexReport(settings={"kind": "exact"}, target_recall=0.99, measured_recall=1.0, k=100)
    manifest = Manifest(
        version="made-1",
        schema_hash=schema.hash,
        dim=DIM,
        items=count,
        index=report,
        lineage=Lineage(
            run="made",
            data="made",
            data_digest="none",
            exported_at=datetime.now(UTC),
            code="tests",
        ),
        checksums={},
    )
    records = pa.table(
        {
            "topics": pa.array([["art", f"t{n}"] for n in range(count)], pa.list_(pa.string())),
            "length": pa.array([float(n) for n in range(count)], pa.float64()),
            "clicks": pa.array([None if n % 2 else float(n) for n in range(count)], pa.float64()),
        }
    )
    return Bundle(
        layout=BundleLayout(Path("made-1")),
        manifest=manifest,
        schema=schema,
        ids=[f"i{n}" for n in range(count)],
        records=records,
        popularity=np.linspace(1, 0, count, dtype=np.float32) ** 2,
        first_seen=np.full(count, np.nan),
        vectors=vectors,
        concepts=ConceptTable(schema),
    )


def made_generation(vectors: Vectors, settings: IndexSettings | None = None) -> Generation:
    """Make a generation over vectors, searched exactly unless settings say otherwise."""
    return Generation(made_bundle(vectors), (settings or ExactConfig()).build(vectors))


def put(one: str, rev: int, **content: Raw) -> ItemRecord:
    """Make the record of a put."""
    return ItemRecord(one, rev, "put", content or {"topics": ["art"]})


def delete(one: str, rev: int) -> ItemRecord:
    """Make the record of a removal."""
    return ItemRecord(one, rev, "delete")


def grow(generation: Generation) -> bool:
    """Take one step of growth at once; say whether there was one."""
    growth = generation.begin_growth()
    if growth is None:
        return False
    growth.build()
    generation.finish_growth(growth)
    return True
