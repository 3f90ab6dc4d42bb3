"""Every place of a model where a tensor may name a file is read."""

import contextlib
import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from google.protobuf.descriptor import Descriptor
from hypothesis import given
from hypothesis import strategies as st
from onnx import AttributeProto, TensorProto, helper, numpy_helper

from export.contract import model_file
from export.contract.encoder import build_encoder
from export.contract.errors import BundleError
from export.contract.model_file import INSIDE, check_reads, references
from export.contract.side import SIDES, SideName
from export.graph import join
from tests.export.contract.encoded import schema_of
from tests.tiny import tiny_schema, tiny_tower


def outside(location: str) -> TensorProto:
    tensor = TensorProto(name="t", data_type=TensorProto.FLOAT, dims=[2])
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("offset", "0"), ("location", location), ("length", "8")):
        tensor.external_data.add(key=key, value=value)
    return tensor


def graph_of(*tensors: TensorProto) -> onnx.GraphProto:
    return helper.make_graph([], "g", [], [], list(tensors))


def sparse(location: str) -> onnx.SparseTensorProto:
    return onnx.SparseTensorProto(values=outside(location), dims=[2])


def attribute(**value: object) -> AttributeProto:
    return AttributeProto(name="a", **value)


def test_a_location_is_found_wherever_a_tensor_may_stand() -> None:
    attributes = [
        attribute(t=outside("t")),
        attribute(tensors=[outside("tensors")]),
        attribute(g=graph_of(outside("g"))),
        attribute(graphs=[graph_of(outside("graphs"))]),
        attribute(sparse_tensor=sparse("sparse")),
        attribute(sparse_tensors=[sparse("sparses")]),
    ]
    graph = graph_of(outside("initializer"), outside("../other"))
    graph.sparse_initializer.append(sparse("sparse initializer"))
    graph.node.append(onnx.NodeProto(op_type="If", attribute=attributes))
    function = onnx.FunctionProto(node=[onnx.NodeProto(attribute=[attribute(t=outside("f"))])])
    model = onnx.ModelProto(graph=graph, functions=[function])
    model.training_info.add(algorithm=graph_of(outside("algorithm")))
    assert references(model.SerializeToString()) == {
        *("t", "tensors", "g", "graphs", "sparse", "sparses", "initializer", "../other"),
        *("sparse initializer", "f", "algorithm"),
    }


def test_no_message_that_leads_to_a_tensor_is_passed_over() -> None:
    """Against onnx.proto itself: a release that adds a place fails here."""
    messages = [onnx.ModelProto.DESCRIPTOR]
    for message in messages:  # grows as it is walked
        messages += [one for one in inner(message).values() if one not in messages]
    leading = {"TensorProto"}
    for _ in messages:  # as often as a way may be long
        leading |= {m.name for m in messages if leading & {one.name for one in inner(m).values()}}
    wanted = {
        m.name: {number: one.name for number, one in inner(m).items() if one.name in leading}
        for m in messages
        if m.name in leading
    }
    assert wanted | {"TensorProto": {13: "StringStringEntryProto"}} == INSIDE


def inner(message: Descriptor) -> dict[int, Descriptor]:
    return {one.number: one.message_type for one in message.fields if one.message_type}


@pytest.mark.parametrize("side", SIDES)
def test_a_tower_with_its_tables_in_it_reads_nothing(side: SideName) -> None:
    schema = tiny_schema()
    model = join(schema, side, build_encoder(schema, side), tiny_tower(schema, side))
    assert references(model.SerializeToString()) == set()


def test_names_and_words_that_say_location_are_no_references() -> None:
    words = ("location", "\n\x08location\x12\x01x")
    schema = schema_of({"location": {"kind": "tags"}}, {"item.location": words})
    model = build_encoder(schema, "item")
    model.metadata_props.add(key="location", value="/etc/passwd")
    model.graph.initializer.append(numpy_helper.from_array(np.ones(3), "location"))
    assert references(model.SerializeToString()) == set()


@pytest.mark.parametrize("tag", [b"\x0a", b"\x8a\x00", b"\x8a\x80\x80\x80\x00"])
@pytest.mark.parametrize("length", [b"\x08", b"\x88\x00", b"\x88\x80\x80\x80\x00"])
def test_a_key_that_is_written_with_more_bytes_than_it_needs_is_found(
    tag: bytes, length: bytes
) -> None:
    model = with_key(tag + length + b"location")
    told = onnx.ModelProto.FromString(model).graph.initializer[0].external_data[0]
    assert (told.key, told.value) == ("location", "x")
    assert references(model) == {"x"}


def test_what_a_tag_has_beyond_32_bits_does_not_count() -> None:
    assert references(with_key(b"\x8a\x80\x80\x80\x40\x08location")) == {"x"}


def with_key(key: bytes) -> bytes:
    """Return a model with a tensor whose data is external: the key as given, the value x."""
    return inside(7, inside(5, inside(13, b"\x12\x01x" + key)))


def inside(field: int, message: bytes) -> bytes:
    return bytes([field << 3 | 2, len(message)]) + message


@pytest.mark.parametrize("kind", ["tags", "category"])
def test_words_are_passed_over_and_not_walked(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    words = ["location", *(f"location {number}" for number in range(5000))]
    schema = schema_of({"location": {"kind": kind}}, {"item.location": words})
    model = build_encoder(schema, "item").SerializeToString()
    assert b"location" in model
    walked: list[int] = []
    varint = model_file._varint

    def counted(message: memoryview, at: int) -> tuple[int, int]:
        walked.append(at)
        return varint(message, at)

    monkeypatch.setattr(model_file, "_varint", counted)
    assert references(model) == set()
    assert len(walked) < 500


@given(st.binary(max_size=60), st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(before: bytes, after: bytes) -> None:
    with contextlib.suppress(ValueError):
        references(before + b"location" + after)


@pytest.mark.parametrize("cut", [1, 5, 20])
def test_what_is_cut_off_is_refused(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "user_tower.onnx"
    model = onnx.ModelProto(graph=graph_of(outside("user_tower.onnx.data")))
    path.write_bytes(model.SerializeToString()[:-cut])
    with pytest.raises(BundleError, match=r"user_tower\.onnx: not an ONNX file: it ends in"):
        check_reads(path, tmp_path / "user_tower.onnx.data")


@pytest.mark.parametrize("other", ["../x", "/etc/passwd", ".hidden", "vectors.npy", "a/b", ""])
def test_another_file_is_refused_by_name(tmp_path: Path, other: str) -> None:
    path, data = tmp_path / "item_tower.onnx", tmp_path / "item_tower.onnx.data"
    for names in ([data.name, other], [other]):
        model = onnx.ModelProto(graph=graph_of(*map(outside, names)))
        path.write_bytes(model.SerializeToString())
        with pytest.raises(BundleError, match=re.escape(f"reads {other!r}; a tower reads no file")):
            check_reads(path, data)
    path.write_bytes(onnx.ModelProto(graph=graph_of(outside(data.name))).SerializeToString())
    assert check_reads(path, data)
