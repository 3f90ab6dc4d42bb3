"""The towers of the benchmark: a cluster's centre, and a small network for what lies around it."""

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from benchmarks.recall_http.records import CATEGORIES, CLUSTER, DIM, LIKED, NUMBERS, WORLD
from export.contract.schema import Schema
from export.contract.side import SideName
from export.index.clustered import unit

WIDTH, HIDDEN = 16, 128  # of a word's vector, and of the layer between
SPREAD = 0.6  # as in `export.index.clustered`: two of a cluster have a cosine of about .74
INPUTS = {"ids": TensorProto.INT64, "values": TensorProto.FLOAT, "present": TensorProto.BOOL}


def tower(schema: Schema, side: SideName) -> onnx.ModelProto:
    """Return a side's program: unit(centre of the cluster + SPREAD * unit(network(the rest))).

    The network is one hidden layer over the vectors of the words, the numbers, and the preference
    where it is present. Both sides have the same centres, so a user is near the items of a cluster.
    """
    inputs = [
        helper.make_tensor_value_info(name, INPUTS[name], ["batch", f"{name}.width"])
        for name in schema.side(side).encoded
    ]
    output = helper.make_tensor_value_info("vector", TensorProto.FLOAT, ["batch", DIM])
    held = [numpy_helper.from_array(array, name) for name, array in _constants(schema, side)]
    graph = helper.make_graph(_nodes(), "tower", inputs, [output], held)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def _nodes() -> list[onnx.NodeProto]:
    make = helper.make_node
    return [
        make("Gather", ["ids", "first"], ["cluster"], axis=1),
        make("Gather", ["centres", "cluster"], ["centre"]),
        make("Gather", ["ids", "others"], ["rows"], axis=1),
        make("Gather", ["words", "rows"], ["each"]),
        make("Reshape", ["each", "flat"], ["told"]),
        make("IsNaN", ["values"], ["unknown"]),
        make("Where", ["unknown", "zero", "values"], ["known"]),
        make("Gather", ["known", "numbers"], ["content"], axis=1),
        make("Gather", ["known", "liked"], ["given"], axis=1),
        make("Where", ["present", "given", "zero"], ["preference"]),
        make("Concat", ["told", "content", "preference"], ["wide"], axis=1),
        make("MatMul", ["wide", "inner"], ["drawn"]),
        make("Tanh", ["drawn"], ["hidden"]),
        make("MatMul", ["hidden", "outer"], ["aside"]),
        make("ReduceL2", ["aside", "axis"], ["reach"], keepdims=1),
        make("Div", ["aside", "reach"], ["direction"]),
        make("Mul", ["direction", "spread"], ["offset"]),
        make("Add", ["centre", "offset"], ["whole"]),
        make("ReduceL2", ["whole", "axis"], ["norm"], keepdims=1),
        make("Div", ["whole", "norm"], ["vector"]),
    ]


def _constants(schema: Schema, side: SideName) -> list[tuple[str, NDArray[np.generic]]]:
    shared = np.random.default_rng(WORLD)
    centres = unit(shared.standard_normal((schema.rows(CLUSTER), DIM)))
    words = shared.standard_normal((schema.rows("word"), WIDTH)).astype(np.float32)
    own = np.random.default_rng([WORLD, len(side)])
    numbers, liked = NUMBERS[side], LIKED[side]
    wide = CATEGORIES[side] * WIDTH + numbers + liked
    inner, outer = own.standard_normal((wide, HIDDEN)), own.standard_normal((HIDDEN, DIM))
    return [
        ("centres", centres),
        ("words", words),
        ("inner", (inner / wide**0.5).astype(np.float32)),
        ("outer", (outer / HIDDEN**0.5).astype(np.float32)),
        ("spread", np.float32(SPREAD).reshape(1)),
        ("zero", np.zeros(1, np.float32)),
        ("first", np.array(0)),
        ("others", np.arange(1, 1 + CATEGORIES[side])),
        ("numbers", np.arange(numbers)),
        ("liked", np.arange(numbers, numbers + liked)),
        ("flat", np.array([0, -1])),
        ("axis", np.array([1])),
    ]
