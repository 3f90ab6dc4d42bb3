"""Joining encoder and tower program: what is passed by, and what is left behind."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from export.contract.encoder import build_encoder
from export.contract.errors import BundleError
from export.contract.schema import Schema
from export.contract.session import open_session
from export.contract.side import SIDES, Record, Side, SideName
from export.graph import join
from tests.tiny import tiny_schema, tiny_tower


def joined(side: SideName) -> onnx.ModelProto:
    schema = tiny_schema()
    return join(schema, side, build_encoder(schema, side), tiny_tower(schema, side))


@pytest.mark.parametrize("side", SIDES)
def test_inputs_and_output_are_those_of_the_contract(side: SideName) -> None:
    model = joined(side)
    inputs = [one.name for one in model.graph.input]
    assert inputs == [one.name for one in tiny_schema().side(side).inputs]
    assert [one.name for one in model.graph.output] == ["vector"]
    assert [one.dim_param for one in model.graph.output[0].type.tensor_type.shape.dim][0] == "batch"


def test_each_operator_set_is_named_once() -> None:
    versions = [(one.domain, one.version) for one in joined("user").opset_import]
    assert versions == [("", 20), ("ai.onnx.ml", 4)]


def test_what_a_program_says_of_its_source_is_left_behind() -> None:
    schema = tiny_schema()
    program = tiny_tower(schema, "user")
    program.graph.node[0].metadata_props.add(key="stack_trace", value="/home/somebody/model.py")
    model = join(schema, "user", build_encoder(schema, "user"), program)
    assert b"somebody" not in model.SerializeToString()


def test_inputs_of_a_program_go_by_order_whatever_their_names() -> None:
    schema = tiny_schema()
    record: Record = {"country": "de", "age": 50.0, "taste": {"art": 2.0}}
    program = tiny_tower(schema, "user")
    for position, one in enumerate(program.graph.input):
        for node in program.graph.node:
            node.input[:] = [f"x{position}" if n == one.name else n for n in node.input]
        one.name = f"x{position}"
    packed = schema.user.pack([record], [True])
    vectors = [
        open_session(model.SerializeToString()).run(["vector"], packed)[0]
        for model in (
            joined("user"),
            join(schema, "user", build_encoder(schema, "user"), program),
        )
    ]
    np.testing.assert_array_equal(*vectors)


def test_program_with_other_inputs_is_refused() -> None:
    schema = tiny_schema()
    program = tiny_tower(schema, "user")
    del program.graph.input[-1]
    with pytest.raises(BundleError, match="takes 5 inputs, the schema says"):
        join(schema, "user", build_encoder(schema, "user"), program)


def test_side_may_hold_weights_and_nothing_else() -> None:
    """The encoder passes weights and `present` by; both reach the program."""
    tags = {"kind": "tags", "weights": True}
    side = Side.model_validate({"preference": {"t": tags}})
    schema = Schema(user=side, item=side, dim=2, tables={"user.t": ("a",), "item.t": ("a",)})
    nodes = [
        helper.make_node("Cast", ["t"], ["rows"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["rows", "t.weights"], ["weighted"]),
        helper.make_node("Cast", ["present"], ["is_present"], to=TensorProto.FLOAT),
        helper.make_node("Concat", ["weighted", "is_present"], ["vector"], axis=1),
    ]
    inputs = [
        helper.make_tensor_value_info("t", TensorProto.INT64, ["b", "l"]),
        helper.make_tensor_value_info("t.weights", TensorProto.FLOAT, ["b", "l"]),
        helper.make_tensor_value_info("present", TensorProto.BOOL, ["b", 1]),
    ]
    output = helper.make_tensor_value_info("vector", TensorProto.FLOAT, ["b", 2])
    graph = helper.make_graph(nodes, "tower", inputs, [output])
    opset = [helper.make_opsetid("", 20)]
    program = helper.make_model(graph, opset_imports=opset, ir_version=10)
    model = join(schema, "user", build_encoder(schema, "user"), program)
    session = open_session(model.SerializeToString())
    packed = side.pack([{"t": {"a": 2.5}}], [True])
    assert session.run(["vector"], packed)[0].tolist() == [[7.5, 1.0]]
