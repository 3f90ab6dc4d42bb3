"""Two ONNX graphs become one tower file: the encoder in front, the tower program behind it."""

import onnx
from onnx import compose, helper

from export.contract.encoder import ENCODED, value_info
from export.contract.schema import Schema, SideName

PREFIX = "tower."


def join(
    schema: Schema, side_name: SideName, encoder: onnx.ModelProto, program: onnx.ModelProto
) -> onnx.ModelProto:
    """Return one self-contained model: raw record in (`Side.inputs`), `vector` out.

    `program` takes the inputs `Side.encoded` names; those the encoder does not make (`present`,
    weights) are taken from the raw input of the same name.
    """
    side = schema.side(side_name)
    tower = compose.add_prefix(program, PREFIX)
    made = {output.name for output in encoder.graph.output}
    links = [(ENCODED + name, PREFIX + name) for name in side.encoded if ENCODED + name in made]
    merged = compose.merge_models(
        encoder, tower, io_map=links, outputs=[PREFIX + "vector"], producer_name="firstsight"
    )
    graph = merged.graph
    raw = {PREFIX + one.name: one.name for one in side.inputs}
    for node in graph.node:
        for position, name in enumerate(node.input):
            node.input[position] = raw.get(name, name)
    graph.node.append(helper.make_node("Identity", [PREFIX + "vector"], ["vector"]))
    del graph.input[:], graph.output[:], graph.value_info[:]
    graph.input.extend(value_info(one) for one in side.inputs)
    shape = ("batch", schema.dim)
    graph.output.append(helper.make_tensor_value_info("vector", onnx.TensorProto.FLOAT, shape))
    onnx.checker.check_model(merged)
    return merged
