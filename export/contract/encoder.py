"""The encoder graph: a schema becomes ONNX that turns raw strings and numbers into rows.

Training runs this graph over its tables, and export joins the same graph in front of each
tower, so there is no second implementation of what a raw value means.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from export.contract.features import KINDS, Input
from export.contract.schema import Schema
from export.contract.side import SideName

OPSET, ML_OPSET, IR_VERSION = 20, 4, 10
ENCODED = "encoded."
"""Prefix of the encoder's outputs, so that they never meet a raw input of the same name."""

OWN = "encoder/"
"""Prefix of what only the encoder uses; no feature's name holds a slash."""

ELEMENT_TYPES = {
    "string": TensorProto.STRING,
    "float32": TensorProto.FLOAT,
    "bool": TensorProto.BOOL,
    "int64": TensorProto.INT64,
}


class Graph:
    """Collects the nodes of one encoder; feature kinds add theirs."""

    INT64, UINT64 = TensorProto.INT64, TensorProto.UINT64

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.bags: dict[str, str] = {}
        self.vectors: dict[str, tuple[str, int]] = {}
        self._ids: list[str] = []
        self._values: list[str] = []
        self._offered: dict[str, tuple[str, str, int]] = {}

    def constant(self, array: NDArray[Any]) -> str:
        """Add a constant and return its name."""
        name = f"{OWN}constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def node(
        self,
        op: str,
        inputs: Sequence[str],
        *,
        domain: str = "",
        unread: int = 0,
        **attributes: Any,
    ) -> str:
        """Add a node and return the name of its first output; the `unread` others are left."""
        output = f"{OWN}{op.lower()}_{len(self.nodes)}"
        outputs = [output, *(f"{output}_{number}" for number in range(1, unread + 1))]
        self.nodes.append(helper.make_node(op, inputs, outputs, domain=domain, **attributes))
        return output

    def lookup(self, words: str, keys: Sequence[str], rows: Sequence[int], default: int) -> str:
        """Map strings to rows; a string that is no key has the default row."""
        return self.node(
            "LabelEncoder",
            [words],
            domain="ai.onnx.ml",
            keys_strings=list(keys),
            values_int64s=list(rows),
            default_int64=default,
        )

    def offer(self, names: Sequence[str], words: str, rows: str) -> None:
        """Let kinds that come later use columns: string[batch, n], and their rows int64[batch, n].

        `names` are the features of the n columns, in order.
        """
        for position, name in enumerate(names):
            self._offered[name] = words, rows, position

    def word_of(self, name: str) -> str:
        """Return the words of a feature that was offered: string[batch, 1]."""
        words, _, position = self._offered[name]
        return self.node("Gather", [words, self.constant(np.array([position]))], axis=1)

    def row_of(self, name: str) -> str:
        """Return the rows of a feature that was offered: int64[batch, 1]."""
        _, rows, position = self._offered[name]
        return self.node("Gather", [rows, self.constant(np.array([position]))], axis=1)

    def emit_ids(self, tensor: str) -> None:
        """Give int64[batch, n]: the rows of n features, in order."""
        self._ids.append(tensor)

    def emit_values(self, tensor: str) -> None:
        """Give float32[batch, n]: the values of n features, in order; NaN is missing."""
        self._values.append(tensor)

    def emit_bag(self, name: str, tensor: str) -> None:
        """Give int64[batch, length]: the rows of one multi-valued feature."""
        self.bags[name] = tensor

    def emit_vector(self, name: str, tensor: str, size: int) -> None:
        """Give float32[batch, size]: one dense vector; a row of NaN is missing."""
        self.vectors[name] = tensor, size

    def finish(self) -> list[tuple[str, int, tuple[str | int, ...]]]:
        """Join the pieces and return the outputs: name, element type, shape."""
        outputs: list[tuple[str, int, tuple[str | int, ...]]] = []
        for name, pieces, kind in (
            ("ids", self._ids, TensorProto.INT64),
            ("values", self._values, TensorProto.FLOAT),
        ):
            if pieces:
                self._rename(self.node("Concat", pieces, axis=1), ENCODED + name)
                outputs.append((ENCODED + name, kind, ("batch", f"{name}.width")))
        for name, tensor in self.bags.items():
            self._rename(tensor, ENCODED + name)
            outputs.append((ENCODED + name, TensorProto.INT64, ("batch", f"{name}.length")))
        for name, (tensor, size) in self.vectors.items():
            self._rename(tensor, ENCODED + name)
            outputs.append((ENCODED + name, TensorProto.FLOAT, ("batch", size)))
        return outputs

    def _rename(self, tensor: str, name: str) -> None:
        self.nodes.append(helper.make_node("Identity", [tensor], [name]))


def build_encoder(schema: Schema, side_name: SideName) -> onnx.ModelProto:
    """Return the encoder of one side: tower inputs (`interface`) -> `encoded.*`.

    Outputs: `encoded.ids` int64[batch, n], `encoded.values` float32[batch, n],
    `encoded.<feature>` int64[batch, length] of a bag, float32[batch, size] of a vector. Weights
    and `present` need no encoding.
    """
    side, graph = schema.side(side_name), Graph()
    words: Mapping[str, Sequence[str]] = schema.words(side_name)
    for kind in KINDS:
        kind.graph(side.of_kind(kind), words, graph)
    outputs = graph.finish()
    passed_on = {"present", *(f"{name}.weights" for name in side.bags)}
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            f"{side_name}_encoder",
            [value_info(one) for one in side.inputs if one.name not in passed_on],
            [helper.make_tensor_value_info(*output) for output in outputs],
            initializer=graph.constants,
        ),
        opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)],
        ir_version=IR_VERSION,
        producer_name="firstsight",
    )
    onnx.checker.check_model(model)
    return model


def value_info(one: Input) -> onnx.ValueInfoProto:
    """Return the ONNX declaration of a tower input."""
    return helper.make_tensor_value_info(one.name, ELEMENT_TYPES[one.dtype], one.shape)
