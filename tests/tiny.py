"""A tiny bundle without torch: hand-made towers over a real schema, for tests of what serves."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import onnx
import pyarrow as pa
from onnx import TensorProto, helper, numpy_helper

from export.catalogue import Parts, RankerParts, write_bundle
from export.contract.bundle import Lineage
from export.contract.encoder import build_encoder
from export.contract.schema import Schema
from export.contract.sharing import table_of
from export.contract.side import Side, SideName
from export.contract.similarity import Similarity, extra_dims
from export.contract.tables import RecordTable
from export.index.tune import TunedKind
from export.tower_file import TowerFile

TOPICS = ("art", "cars", "food", "music", "sport", "travel")
DIM = 8


def tiny_schema(items: int = 40, similarity: Similarity = "cosine") -> Schema:
    """Users with a place and an age, items with topics; preference and context on the user side."""
    user = Side.model_validate(
        {
            "content": {
                "country": {"kind": "category"},
                "age": {"kind": "number", "mean": 40.0, "scale": 12.0},
            },
            "context": {"tab": {"kind": "category"}},
            "preference": {
                "recent": {"kind": "sequence", "aggregate": "last", "n": 5, "table": "item"},
                "taste": {"kind": "tags", "aggregate": "profile", "of": "topics", "table": "topic"},
            },
        }
    )
    item = Side.model_validate(
        {
            "content": {
                "topics": {"kind": "tags", "table": "topic"},
                "length": {"kind": "number", "log1p": True, "mean": 3.0, "scale": 1.0},
            },
            "preference": {
                "clicks": {"kind": "number", "aggregate": "count", "mean": 5.0, "scale": 3.0}
            },
        }
    )
    return Schema(
        user=user,
        item=item,
        dim=DIM + extra_dims(similarity),
        similarity=similarity,
        tables={
            "user.country": ("at", "de", "fr"),
            "user.tab": ("1", "2"),
            "item": tuple(f"i{number}" for number in range(items)),
            "topic": TOPICS,
        },
        rules={"user": "point_in_time", "item": "point_in_time"},
    )


class _Program:
    """Adds up one term a feature; preference counts only where it is present."""

    def __init__(self, schema: Schema, side_name: SideName) -> None:
        self.schema, self.side_name, self.side = schema, side_name, schema.side(side_name)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.rng = np.random.default_rng(7)
        self.terms = {
            "content": self.constant(np.full((1, DIM), 0.01, np.float32)),
            "preference": self.constant(np.full((1, DIM), 0.02, np.float32)),
        }

    def constant(self, array: np.ndarray) -> str:
        self.constants.append(numpy_helper.from_array(array, f"c{len(self.constants)}"))
        return str(self.constants[-1].name)

    def node(self, op: str, inputs: list[str], **attributes: object) -> str:
        self.nodes.append(helper.make_node(op, inputs, [f"n{len(self.nodes)}"], **attributes))
        return str(self.nodes[-1].output[0])

    def table(self, name: str) -> str:
        rows = 0.05 * self.rng.standard_normal((self.schema.rows(name), DIM)).astype(np.float32)
        if name == "topic":
            rows[3:9, :6] += np.eye(6, dtype=np.float32)
        rows[0] = 0
        return self.constant(rows)

    def add(self, feature: str, tensor: str) -> None:
        group = "preference" if feature in self.side.preference else "content"
        self.terms[group] = self.node("Add", [self.terms[group], tensor])

    def add_ids(self) -> None:
        for column, name in enumerate(self.side.ids):
            picked = self.node("Gather", ["ids", self.constant(np.array(column))], axis=1)
            self.add(name, self.node("Gather", [self.table(f"{self.side_name}.{name}"), picked]))

    def add_values(self) -> None:
        for column, name in enumerate(self.side.values):
            picked = self.node("Gather", ["values", self.constant(np.array([column]))], axis=1)
            zero = self.constant(np.zeros(1, np.float32))
            known = self.node("Where", [self.node("IsNaN", [picked]), zero, picked])
            weight = 0.05 * self.rng.standard_normal((1, DIM)).astype(np.float32)
            self.add(name, self.node("Mul", [known, self.constant(weight)]))

    def add_bags(self) -> None:
        for name in self.side.bags:
            table = table_of(self.side_name, name, self.side.features[name])
            rows = self.node("Gather", [self.table(table), name])
            if f"{name}.weights" in self.side.encoded:
                two = self.constant(np.array([2]))
                rows = self.node("Mul", [rows, self.node("Unsqueeze", [f"{name}.weights", two])])
            one = self.constant(np.array([1]))
            self.add(name, self.node("ReduceSum", [rows, one], keepdims=0))

    def finish(self) -> onnx.ModelProto:
        total = self.terms["content"]
        if self.side.preference:
            default = self.constant(np.zeros((1, DIM), np.float32))
            chosen = self.node("Where", ["present", self.terms["preference"], default])
            total = self.node("Add", [total, chosen])
        norm = self.node("ReduceL2", [total, self.constant(np.array([1]))], keepdims=1)
        self.nodes.append(helper.make_node("Div", [total, norm], ["vector"]))
        kinds = {"values": TensorProto.FLOAT, "present": TensorProto.BOOL}
        inputs = [
            helper.make_tensor_value_info(
                name,
                TensorProto.FLOAT
                if name.endswith(".weights")
                else kinds.get(name, TensorProto.INT64),
                ["b", f"{name}.w"],
            )
            for name in self.side.encoded
        ]
        output = helper.make_tensor_value_info("vector", TensorProto.FLOAT, ["b", DIM])
        graph = helper.make_graph(self.nodes, "tower", inputs, [output], self.constants)
        opset = helper.make_opsetid("", 20)
        return helper.make_model(graph, opset_imports=[opset], ir_version=10)


def tiny_tower(schema: Schema, side_name: SideName) -> onnx.ModelProto:
    """Return a program with the inputs `Side.encoded` names and a unit vector out.

    Topics decide (row t of the topic table points along axis t), the rest is small noise;
    without `present`, preference counts for nothing.
    """
    program = _Program(schema, side_name)
    program.add_ids()
    program.add_values()
    program.add_bags()
    return program.finish()


def tiny_file(schema: Schema, side: SideName, large_bytes: int | None = None) -> TowerFile:
    """Return the tower file of a side; tables from `large_bytes` on lie in its data file."""
    program, large = tiny_tower(schema, side), {}
    for tensor in program.graph.initializer:
        if large_bytes and len(tensor.raw_data) >= large_bytes:
            large[tensor.name] = numpy_helper.to_array(tensor)
            tensor.CopyFrom(numpy_helper.from_array(large[tensor.name][:0], tensor.name))
    return TowerFile.join(schema, side, build_encoder(schema, side), program, large)


def tiny_items(
    schema: Schema, count: int, beside: Mapping[str, object] | None = None
) -> RecordTable:
    """Item i has topics i mod 6 and, for odd i, (i + 1) mod 6; even items have clicks.

    What is given `beside` every item has.
    """
    records = []
    for number in range(count):
        topics = [TOPICS[number % 6]] + ([TOPICS[(number + 1) % 6]] if number % 2 else [])
        record: dict[str, object] = {"topics": topics, "length": 10.0 + number} | dict(beside or {})
        if number % 2 == 0:
            record["clicks"] = float(number)
        records.append(schema.item.parse(record))
    share = np.arange(count, 0, -1) / (count * (count + 1) / 2)
    extras = pa.table(
        {
            "popularity": pa.array(share, pa.float64()),
            "first_seen": pa.array(np.arange(count) + 1.65e9, pa.float64()),
        }
    )
    return RecordTable([f"i{number}" for number in range(count)], records, extras)


def tiny_bundle(
    folder: Path,
    version: str = "tiny-1",
    *,
    items: int = 40,
    largest_norm: float | None = None,
    log_id: str | None = None,
    large_bytes: int | None = None,
    schema: Schema | None = None,
    beside: Mapping[str, object] | None = None,
    ranker: Callable[[Schema], RankerParts] | None = None,
    index: TunedKind = "hnsw",
) -> Path:
    """Write the tiny bundle as `folder/version` and return its path.

    With a `largest_norm` it is one of an inner product, though its raw vectors have length 1.
    With `large_bytes`, tables from this size on lie in a data file. A `schema` may know more
    features than the tiny one, and `beside` gives them to every item. `ranker` makes one of the
    schema. More than 2,000 items have an `index` of this kind.
    """
    schema = schema or tiny_schema(items, "cosine" if largest_norm is None else "inner_product")
    sides: tuple[SideName, ...] = ("user", "item")
    towers = {s: tiny_file(schema, s, large_bytes) for s in sides}
    if largest_norm is not None:
        towers = {s: tower.lifted(s, largest_norm) for s, tower in towers.items()}
    users = [
        schema.user.parse(
            {"country": "de", "age": 30, "recent": ["i1", "i2"], "taste": {"art": 2}}
        ),
        schema.user.parse({"country": "xx", "taste": {"food": 1.0, "music": 1.0}}),
        schema.user.parse({"age": 61.5}),
    ]
    parts = Parts(
        schema=schema,
        towers=towers,
        items=tiny_items(schema, items, beside),
        users=users,
        lineage=Lineage(
            run="tiny",
            data="made by tests/tiny.py",
            data_digest="none",
            exported_at=datetime.now(UTC),
            code="tests",
            log_id=log_id,
        ),
        parity={},
        metrics={},
        largest_norm=largest_norm,
        ranker=None if ranker is None else ranker(schema),
    )
    write_bundle(folder / version, parts, index=index)
    return folder / version
