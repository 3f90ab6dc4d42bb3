"""The lift of inner products to unit vectors, as the last nodes of a tower file."""

import numpy as np
import onnx
from onnx import helper, numpy_helper

from export.contract.side import SideName
from export.contract.similarity import SHORTEST

PREFIX = "lift."


def lift(model: onnx.ModelProto, side: SideName, largest_norm: float) -> onnx.ModelProto:
    """Return a tower file whose `vector` is lifted as `export.contract.similarity` says.

    Args:
        model: A joined tower file that gives vectors of any length.
        side: Whose tower it is; users are scaled, items get what is left to length 1.
        largest_norm: M.
    """
    lifted = onnx.ModelProto()
    lifted.CopyFrom(model)
    graph = lifted.graph
    graph.node[-1].output[0] = PREFIX + "raw"  # Identity, which gave `vector`
    constants = {
        "axis": np.array([1], dtype=np.int64),
        "M": np.float32(largest_norm),
        "one": np.float32(1),
        "shortest": np.float32(SHORTEST),
        "pads": np.array([0, 0, 0, 1], dtype=np.int64),
    }
    steps = _user_steps() if side == "user" else _item_steps()
    used = {name for _, inputs, _ in steps for name in inputs}
    for name, value in constants.items():
        if name in used:
            graph.initializer.append(numpy_helper.from_array(np.asarray(value), PREFIX + name))
    for operator, inputs, output in steps:
        names = [PREFIX + name for name in inputs]
        options = {"axis": 1} if operator == "Concat" else {}
        to = output if output == "vector" else PREFIX + output
        graph.node.append(helper.make_node(operator, names, [to], **options))
    graph.output[0].type.tensor_type.shape.dim[1].dim_value += 1
    onnx.checker.check_model(lifted)
    return lifted


Step = tuple[str, list[str], str]


def _user_steps() -> list[Step]:
    """[u / |u|, 0]."""
    return [
        ("ReduceL2", ["raw", "axis"], "norm"),
        ("Max", ["norm", "shortest"], "length"),
        ("Div", ["raw", "length"], "head"),
        ("Pad", ["head", "pads"], "vector"),
    ]


def _item_steps() -> list[Step]:
    """[v / M, sqrt((1 - r)(1 + r))] with r = |v| / M, at most 1."""
    return [
        ("ReduceL2", ["raw", "axis"], "norm"),
        ("Max", ["norm", "M"], "length"),
        ("Div", ["raw", "length"], "head"),
        ("Div", ["norm", "M"], "ratio"),
        ("Min", ["ratio", "one"], "share"),
        ("Sub", ["one", "share"], "below"),
        ("Add", ["one", "share"], "above"),
        ("Mul", ["below", "above"], "square"),
        ("Sqrt", ["square"], "rest"),
        ("Concat", ["head", "rest"], "vector"),
    ]
