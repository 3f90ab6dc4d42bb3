"""Two ONNX graphs become one tower file: the encoder in front, the tower program behind it."""

import onnx
from onnx import compose, helper

from export.contract.encoder import ENCODED, value_info
from export.contract.errors import BundleError
from export.contract.schema import Schema
from export.contract.side import SideName

PREFIX = "tower."


def join(
    schema: Schema, side_name: SideName, encoder: onnx.ModelProto, program: onnx.ModelProto
) -> onnx.ModelProto:
    """Return one self-contained model: raw record in (`Side.inputs`), `vector` out.

    `vector` is the program's; that of an inner product is still to be lifted.

    `program` takes the inputs that `Side.encoded` names, in that order, by whatever names; those
    the encoder does not make (`present`, weights) are the raw inputs themselves.

    Raises:
        BundleError: The program takes another number of inputs.
    """
    side = schema.side(side_name)
    tower = compose.add_prefix(program, PREFIX)
    made = {output.name for output in encoder.graph.output}
    inputs = [one.name for one in tower.graph.input]
    if len(inputs) != len(side.encoded):
        raise BundleError(f"the program takes {len(inputs)} inputs, the schema says {side.encoded}")
    taken = dict(zip(side.encoded, inputs, strict=True))
    links = [(ENCODED + name, to) for name, to in taken.items() if ENCODED + name in made]
    merged = compose.merge_models(
        encoder, tower, io_map=links, outputs=[PREFIX + "vector"], producer_name="firstsight"
    )
    graph = merged.graph
    raw = {to: name for name, to in taken.items() if ENCODED + name not in made}
    for node in graph.node:
        del node.metadata_props[:]  # where in which module it came from, folders included
        for position, name in enumerate(node.input):
            node.input[position] = raw.get(name, name)
    del merged.opset_import[:]
    merged.opset_import.extend(encoder.opset_import)
    graph.node.append(helper.make_node("Identity", [PREFIX + "vector"], ["vector"]))
    del graph.input[:], graph.output[:], graph.value_info[:]
    graph.input.extend(value_info(one) for one in side.inputs)
    shape = ("batch", schema.program_dim)
    graph.output.append(helper.make_tensor_value_info("vector", onnx.TensorProto.FLOAT, shape))
    onnx.checker.check_model(merged)
    return merged
