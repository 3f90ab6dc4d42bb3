"""Two ONNX graphs become one tower file: the encoder in front, the tower program behind it."""

from dataclasses import dataclass

import onnx
from onnx import compose, helper

from export.contract.encoder import ENCODED, value_info
from export.contract.errors import BundleError
from export.contract.features import Input
from export.contract.schema import Schema
from export.contract.side import SideName

PREFIX = "tower."


@dataclass(frozen=True)
class Ends:
    """What a model takes behind the inputs of its side, and the one thing that it gives."""

    output: str
    shape: tuple[str | int, ...]
    beside: tuple[Input, ...] = ()

    @classmethod
    def of_tower(cls, schema: Schema) -> "Ends":
        """Return those of a tower whose vectors are not lifted yet."""
        return cls("vector", ("batch", schema.program_dim))


def join(
    schema: Schema,
    side_name: SideName,
    encoder: onnx.ModelProto,
    program: onnx.ModelProto,
    ends: Ends | None = None,
) -> onnx.ModelProto:
    """Return one self-contained model: raw record in (`Side.inputs`), its output out.

    By default that is `vector`, the program's; that of an inner product is still to be lifted.

    `program` takes the inputs that `Side.encoded` names, in that order, by whatever names, and
    those of `ends` behind them; what the encoder does not make (`present`, weights) are the raw
    inputs themselves.

    Raises:
        BundleError: The program takes another number of inputs.
    """
    side, ends = schema.side(side_name), ends or Ends.of_tower(schema)
    asked = [*side.encoded, *(one.name for one in ends.beside)]
    tower = compose.add_prefix(program, PREFIX)
    made = {output.name for output in encoder.graph.output}
    inputs = [one.name for one in tower.graph.input]
    if len(inputs) != len(asked):
        raise BundleError(f"the program takes {len(inputs)} inputs, the schema says {asked}")
    taken = dict(zip(asked, inputs, strict=True))
    links = [(ENCODED + name, to) for name, to in taken.items() if ENCODED + name in made]
    merged = compose.merge_models(
        encoder, tower, io_map=links, outputs=[PREFIX + ends.output], producer_name="firstsight"
    )
    graph = merged.graph
    raw = {to: name for name, to in taken.items() if ENCODED + name not in made}
    for node in graph.node:
        del node.metadata_props[:]  # where in which module it came from, folders included
        for position, name in enumerate(node.input):
            node.input[position] = raw.get(name, name)
    del merged.opset_import[:]
    merged.opset_import.extend(encoder.opset_import)
    graph.node.append(helper.make_node("Identity", [PREFIX + ends.output], [ends.output]))
    del graph.input[:], graph.output[:], graph.value_info[:]
    graph.input.extend(value_info(one) for one in (*side.inputs, *ends.beside))
    kind = onnx.TensorProto.FLOAT
    graph.output.append(helper.make_tensor_value_info(ends.output, kind, ends.shape))
    onnx.checker.check_model(merged)
    return merged
