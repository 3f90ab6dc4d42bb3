"""A ranker without torch for the tiny bundle: hand-made, so that its answers can be worked out.

An item's key is the sum of its topics' unit vectors, its standing the scaled clicks (0: absent).
The logit of a candidate is the mean key of the history times its own, half its standing, and a
tenth of the tab's row times its share of `art`, the first topic.
"""

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from export.catalogue import RankerParts
from export.contract.encoder import build_encoder
from export.contract.ranker import RankerFacts, without_history
from export.contract.schema import Schema
from export.contract.side import Side, SideName
from export.graph import Ends
from export.ranker import CODE, SCORE
from export.tower_file import TowerFile

KEY = 6  # one axis a topic
FACTS = RankerFacts(kind="din", history="recent", n=5, dim=KEY, width=KEY + 1)


def tiny_ranker(schema: Schema) -> RankerParts:
    """Return the ranker of a tiny schema."""
    users = without_history(schema, FACTS.history)
    code = Ends(CODE, ("batch", FACTS.width))
    score = Ends(SCORE, ("candidates",), tuple(FACTS.inputs))
    return RankerParts(
        FACTS,
        _file(schema, "item", _code(schema.item, schema.rows("topic")), code),
        _file(users, "user", _score(users.user), score),
    )


def logit_of(
    keys: Sequence[Sequence[int]], topics: Sequence[int], clicks: float | None = None, tab: int = 1
) -> float:
    """Return the logit of a candidate, worked out.

    Args:
        keys: The topics (0 to 5) of each item of the history.
        topics: Those of the candidate.
        clicks: Its clicks, None where preference is absent.
        tab: The row of the request's tab; 1: missing.
    """
    one = np.bincount(topics, minlength=KEY)
    mean = np.mean([np.bincount(key, minlength=KEY) for key in keys], axis=0) if keys else 0 * one
    standing = 0.0 if clicks is None else (clicks - 5) / 3
    return float(mean @ one + 0.5 * standing + 0.1 * tab * one[0])


def _file(schema: Schema, side: SideName, program: onnx.ModelProto, ends: Ends) -> TowerFile:
    return TowerFile.join(schema, side, build_encoder(schema, side), program, {}, ends)


def _inputs(side: Side) -> list[onnx.ValueInfoProto]:
    kinds = {"values": TensorProto.FLOAT, "present": TensorProto.BOOL}
    return [
        helper.make_tensor_value_info(
            name,
            TensorProto.FLOAT if name.endswith(".weights") else kinds.get(name, TensorProto.INT64),
            ["b", f"{name}.w"],
        )
        for name in side.encoded
    ]


def _model(
    steps: Sequence[tuple[str, list[str], str]],
    constants: dict[str, np.ndarray],
    inputs: list[onnx.ValueInfoProto],
    output: onnx.ValueInfoProto,
) -> onnx.ModelProto:
    axis = {"Concat": {"axis": 1}, "Gather.columns": {"axis": 1}}
    nodes = [
        helper.make_node(
            operator.partition(".")[0],
            names,
            [to],
            **axis.get(operator, {}),
            **({"to": TensorProto.FLOAT} if operator == "Cast" else {}),
        )
        for operator, names, to in steps
    ]
    initial = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, "ranker", inputs, [output], initial)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def _code(side: Side, rows: int) -> onnx.ModelProto:
    table = np.zeros((rows, KEY), np.float32)
    table[3 : 3 + KEY] = np.eye(KEY, dtype=np.float32)
    steps = [
        ("Gather", ["table", "topics"], "vectors"),
        ("ReduceSum", ["vectors", "one_axis"], "key"),  # [b, 1, KEY]
        ("Gather.columns", ["values", "clicks_at"], "clicks"),
        ("IsNaN", ["clicks"], "unknown"),
        ("Where", ["unknown", "zero", "clicks"], "known"),
        ("Where", ["present", "known", "zero"], "standing"),
        ("Squeeze", ["key", "one_axis"], "flat"),
        ("Concat", ["flat", "standing"], CODE),
    ]
    constants = {
        "table": table,
        "one_axis": np.array([1]),
        "zero": np.zeros(1, np.float32),
        "clicks_at": np.array([side.values.index("clicks")]),
    }
    output = helper.make_tensor_value_info(CODE, TensorProto.FLOAT, ["b", FACTS.width])
    return _model(steps, constants, _inputs(side), output)


def _score(side: Side) -> onnx.ModelProto:
    steps = [
        ("IsNaN", ["history"], "padded"),
        ("Where", ["padded", "zero", "history"], "keys"),
        ("ReduceSum", ["keys", "one_axis"], "total"),
        ("Where", ["padded", "zero", "unit"], "counted"),
        ("ReduceSum", ["counted", "one_axis"], "count"),
        ("Max", ["count", "unit"], "length"),
        ("Div", ["total", "length"], "mean3"),
        ("Squeeze", ["mean3", "one_axis"], "mean"),
        ("Gather", ["mean", "user"], "own"),
        ("Gather.columns", ["items", "key_at"], "query"),
        ("Mul", ["own", "query"], "products"),
        ("ReduceSum", ["products", "one_axis"], "match"),
        ("Gather.columns", ["items", "standing_at"], "standing"),
        ("Mul", ["standing", "half"], "worth"),
        ("Gather.columns", ["ids", "tab_at"], "tab"),
        ("Cast", ["tab"], "tab_row"),
        ("Gather", ["tab_row", "user"], "tab_of"),
        ("Gather.columns", ["items", "art_at"], "art"),
        ("Mul", ["tab_of", "art"], "tab_art"),
        ("Mul", ["tab_art", "tenth"], "setting"),
        ("Sum", ["match", "worth", "setting"], "logit"),
        ("Sigmoid", ["logit"], "chance"),
        ("Squeeze", ["chance", "one_axis"], SCORE),
    ]
    constants: dict[str, np.ndarray] = {
        "zero": np.zeros(1, np.float32),
        "unit": np.ones(1, np.float32),
        "half": np.array([0.5], np.float32),
        "tenth": np.array([0.1], np.float32),
        "one_axis": np.array([1]),
        "key_at": np.arange(KEY),
        "art_at": np.array([0]),
        "standing_at": np.array([KEY]),
        "tab_at": np.array([side.ids.index("tab")]),
    }
    beside = [
        helper.make_tensor_value_info("history", TensorProto.FLOAT, ["b", "h", KEY]),
        helper.make_tensor_value_info("items", TensorProto.FLOAT, ["n", FACTS.width]),
        helper.make_tensor_value_info("user", TensorProto.INT64, ["n"]),
    ]
    output = helper.make_tensor_value_info(SCORE, TensorProto.FLOAT, ["n"])
    return _model(steps, constants, [*_inputs(side), *beside], output)
