"""A bundle of made items, written by the real export in seconds: a record is its vector."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import onnx
import pyarrow as pa
from onnx import TensorProto, helper, numpy_helper

from export.catalogue import Parts, write_bundle
from export.contract.bundle import Lineage
from export.contract.encoder import build_encoder
from export.contract.schema import Schema
from export.contract.side import SIDES, Side
from export.contract.tables import RecordTable
from export.embedder import Vectors
from export.index.clustered import clustered_vectors
from export.tower_file import TowerFile

DIM = 64
FEATURE = "place"


def make_bundle(target: Path, items: int, seed: int) -> Vectors:
    """Write a bundle of items i0, i1, ... in clusters; return their vectors, float32[items, DIM].

    Users and items have one feature, a place in space; the towers give the direction of it, and
    one fixed direction to whoever has none.
    """
    schema = place_schema()
    vectors = clustered_vectors(items, DIM, seed=seed)
    records = [schema.item.parse({FEATURE: vector.tolist()}) for vector in vectors]
    extras = pa.table(
        {
            "popularity": pa.array(np.full(items, 1 / max(1, items)), pa.float64()),
            "first_seen": pa.array(np.full(items, np.nan), pa.float64()),
        }
    )
    towers = {
        side: TowerFile.join(schema, side, build_encoder(schema, side), direction_tower(), {})
        for side in SIDES
    }
    lineage = Lineage(
        run="soak",
        data=f"{items} made vectors, seed {seed}",
        data_digest="none",
        exported_at=datetime.now(UTC),
        code="benchmarks/soak",
    )
    ids = [f"i{number}" for number in range(items)]
    parts = Parts(schema, towers, RecordTable(ids, records, extras), [], lineage, {}, {})
    write_bundle(target, parts)
    return vectors


def places_like(items: int, seed: int, count: int = 20_000) -> Vectors:
    """Make float32[count, DIM] other vectors in the clusters of such a catalogue."""
    clusters = max(1, round(items**0.5))
    return clustered_vectors(items + count, DIM, clusters=clusters, seed=seed)[items:]


def place_schema() -> Schema:
    """Return the schema of both sides: a place."""
    side = Side.model_validate(
        {"content": {FEATURE: {"kind": "vector", "size": DIM, "normalise": True}}}
    )
    return Schema(user=side, item=side, dim=DIM)


def direction_tower() -> onnx.ModelProto:
    """Return a program that gives the direction of its input float32[b, DIM], NaN meaning none."""
    constants = {
        "nowhere": np.eye(1, DIM, dtype=np.float32),
        "axis": np.array([1]),
    }
    nodes = [
        helper.make_node("IsNaN", [FEATURE], ["is_missing"]),
        helper.make_node("Where", ["is_missing", "nowhere", FEATURE], ["known"]),
        helper.make_node("ReduceL2", ["known", "axis"], ["length"], keepdims=1),
        helper.make_node("Div", ["known", "length"], ["vector"]),
    ]
    graph = helper.make_graph(
        nodes,
        "tower",
        [helper.make_tensor_value_info(FEATURE, TensorProto.FLOAT, ["b", DIM])],
        [helper.make_tensor_value_info("vector", TensorProto.FLOAT, ["b", DIM])],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    opset = helper.make_opsetid("", 20)
    return helper.make_model(graph, opset_imports=[opset], ir_version=10)
