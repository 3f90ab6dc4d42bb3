"""Bundles of the rollouts' world: clustered catalogues under towers that differ by version."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import onnx
import pyarrow as pa
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from benchmarks.rollout.records import cluster_words, make_schema, record
from export.catalogue import Parts, write_bundle
from export.contract.bundle import BundleLayout, Lineage, new_folder
from export.contract.encoder import build_encoder
from export.contract.features.base import FIRST_WORD_ROW
from export.contract.schema import Schema
from export.contract.side import SideName
from export.contract.tables import RecordTable
from export.tower_file import TowerFile

SPREAD = 0.3  # of the numbers' directions, against 1 of the clusters' centres
QUERIES = 2000  # users on whose vectors the index is tuned
CONTENT = 4  # columns of the encoder's values that are content; the one after is the preference


def user_id(number: int) -> str:
    """Return the id of a user."""
    return f"u{number}"


def item_id(number: int) -> str:
    """Return the id of an item of the catalogue."""
    return f"i{number}"


def make_bundles(folder: Path, items: int, dim: int, count: int) -> list[Path]:
    """Write bundles of one catalogue, each with towers of its own; what is there is kept."""
    paths = {seed: folder / f"base-{seed}" for seed in range(1, count + 1)}
    if not all(path.exists() for path in paths.values()):
        words = cluster_words(items)
        schema = make_schema(words, dim)
        catalogue = _catalogue(schema, items, len(words))
        for seed, path in paths.items():
            if not path.exists():
                _write(path, schema, catalogue, seed)
    return list(paths.values())


def _write(folder: Path, schema: Schema, catalogue: RecordTable, seed: int) -> None:
    """Write a bundle; its towers are drawn from the seed."""
    clusters = len(schema.tables["cluster"])
    program = tower(schema, seed)
    sides: tuple[SideName, ...] = ("user", "item")
    users = [schema.user.parse(record(user_id(n), 0, clusters)) for n in range(QUERIES)]
    parts = Parts(
        schema=schema,
        towers={s: TowerFile.join(schema, s, build_encoder(schema, s), program, {}) for s in sides},
        items=catalogue,
        users=users,
        lineage=Lineage(
            run="rollout",
            data="made by benchmarks/rollout",
            data_digest="none",
            exported_at=datetime.now(UTC),
            code="benchmarks",
        ),
        parity={},
        metrics={},
    )
    write_bundle(folder, parts)


def _catalogue(schema: Schema, items: int, clusters: int) -> RecordTable:
    ids = [item_id(number) for number in range(items)]
    share = np.arange(items, 0, -1) / (items * (items + 1) / 2)
    extras = {"popularity": share, "first_seen": np.full(items, 1.65e9)}
    records = [schema.item.parse(record(one, 0, clusters)) for one in ids]
    return RecordTable(ids, records, pa.table(extras))


def tower(schema: Schema, seed: int) -> onnx.ModelProto:
    """Return the program of both towers: a centre, numbers along directions, at unit length.

    Centres and directions are the version's own, so that a vector of another version, or a score
    made of two versions, is far from what this one gives.
    """
    rng, dim = np.random.default_rng(seed), schema.dim
    rows = FIRST_WORD_ROW + len(schema.tables["cluster"])
    constants: dict[str, NDArray[np.generic]] = {
        "centres": rng.standard_normal((rows, dim)).astype(np.float32),
        "directions": _drawn(rng, CONTENT, dim),
        "liking": _drawn(rng, 1, dim),
        "nothing": np.zeros((1, dim), np.float32),
        "zero": np.zeros(1, np.float32),
        "first": np.array(0),
        "content": np.arange(CONTENT),
        "preference": np.array([CONTENT]),
        "axis": np.array([1]),
    }
    make = helper.make_node
    nodes = [
        make("Gather", ["ids", "first"], ["word"], axis=1),
        make("Gather", ["centres", "word"], ["centre"]),
        make("IsNaN", ["values"], ["unknown"]),
        make("Where", ["unknown", "zero", "values"], ["known"]),
        make("Gather", ["known", "content"], ["told"], axis=1),
        make("MatMul", ["told", "directions"], ["moved"]),
        make("Gather", ["known", "preference"], ["liked"], axis=1),
        make("MatMul", ["liked", "liking"], ["bent"]),
        make("Where", ["present", "bent", "nothing"], ["preferred"]),
        make("Sum", ["centre", "moved", "preferred"], ["whole"]),
        make("ReduceL2", ["whole", "axis"], ["norm"], keepdims=1),
        make("Div", ["whole", "norm"], ["vector"]),
    ]
    kinds = {"ids": TensorProto.INT64, "values": TensorProto.FLOAT, "present": TensorProto.BOOL}
    inputs = [
        helper.make_tensor_value_info(name, kinds[name], ["batch", f"{name}.width"])
        for name in schema.item.encoded
    ]
    output = helper.make_tensor_value_info("vector", TensorProto.FLOAT, ["batch", dim])
    held = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, "tower", inputs, [output], held)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def _drawn(rng: np.random.Generator, rows: int, dim: int) -> NDArray[np.float32]:
    return (SPREAD * rng.standard_normal((rows, dim))).astype(np.float32)


def as_version(base: Path, target: Path) -> Path:
    """Give a bundle another version name: its files linked, its manifest of its own."""
    with new_folder(target) as folder:
        for path in base.rglob("*"):
            there = folder / path.relative_to(base)
            if path.is_dir():
                there.mkdir()
            elif path != BundleLayout(base).manifest:
                os.link(path, there)
        manifest = json.loads(BundleLayout(base).manifest.read_text(encoding="utf-8"))
        told = json.dumps(manifest | {"version": target.name})
        BundleLayout(folder).manifest.write_text(told, encoding="utf-8")
    return target
