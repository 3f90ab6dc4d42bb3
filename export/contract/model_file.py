"""An ONNX file: how much it holds, and which files it has onnxruntime read beside itself."""

import re
from collections.abc import Iterator
from pathlib import Path

from export.contract.errors import BundleError

LARGEST_FILE = 2**31 - 1
"""Bytes of one ONNX file: those of a protobuf message."""

LARGE_TABLE = 2**26
"""Bytes from which on a table lies in the data file beside its tower.

onnxruntime maps that file, so the processes of a machine share it: a table of 500 MB is open in
3 ms and is nobody's own memory, where one inside the ONNX file takes 1.1 s and is copied by each.
"""

INSIDE: dict[str, dict[int, str]] = {
    "ModelProto": {7: "GraphProto", 20: "TrainingInfoProto", 25: "FunctionProto"},
    "TrainingInfoProto": {1: "GraphProto", 2: "GraphProto"},
    "FunctionProto": {7: "NodeProto", 11: "AttributeProto"},
    "GraphProto": {1: "NodeProto", 5: "TensorProto", 15: "SparseTensorProto"},
    "NodeProto": {5: "AttributeProto"},
    "AttributeProto": {
        5: "TensorProto",
        6: "GraphProto",
        10: "TensorProto",
        11: "GraphProto",
        22: "SparseTensorProto",
        23: "SparseTensorProto",
    },
    "SparseTensorProto": {1: "TensorProto", 2: "TensorProto"},
    "TensorProto": {13: "StringStringEntryProto"},
}
"""Messages of onnx.proto that lead to where a tensor says in which file it lies: by field number.

Read so, and not by the package onnx, since the service does without it.
"""

VARINT, EIGHT_BYTES, LENGTH, FOUR_BYTES = 0, 1, 2, 5  # wire types of protobuf
KEY, VALUE = 1, 2  # fields of StringStringEntryProto
LOCATION = b"location"

MAY_NAME = re.compile(rb"location(?:(?<=[^J]\x08location)|(?<=\x00location))")
"""Whether bytes may hold an entry with the key `location`; where not, they lead to no file.

The key stands behind its length, 8, and that behind the tag of field 1: both may be written with
more bytes than they need, of which the last is 0 (of a tag of five bytes it is below 128 and ends
in four zero bits). A word of a vocabulary stands behind its length and J, the tag of its field,
which ends no tag of field 1: so a million words are passed over and not walked.
"""


def check_reads(path: Path, data: Path) -> bool:
    """Check that a model has onnxruntime read no file but `data`, and return whether it does.

    Raises:
        BundleError: It names another file, or names one and is no ONNX file.

    """
    try:
        found = references(path.read_bytes())
    except ValueError as error:
        raise BundleError(f"{path}: not an ONNX file: {error}") from error
    for name in sorted(found - {data.name}):
        raise BundleError(f"{path}: reads {name!r}; a tower reads no file but {data.name!r}")
    return bool(found)


def references(model: bytes) -> set[str]:
    """Return the files in which a model's tensors lie, as it names them.

    Raises:
        ValueError: The bytes hold the key of such a name, but are no protobuf message.

    """
    found: set[str] = set()
    if not MAY_NAME.search(model):
        return found
    left = [("ModelProto", memoryview(model))]
    while left:
        kind, message = left.pop()
        if kind == "StringStringEntryProto":
            entry = {field: bytes(part) for field, part in _parts(message)}
            if entry.get(KEY) == LOCATION:
                found.add(entry.get(VALUE, b"").decode())
            continue
        inside = INSIDE[kind]
        left += [
            (inside[field], part)
            for field, part in _parts(message)
            if field in inside and MAY_NAME.search(part)
        ]
    return found


def _parts(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Give the fields of a message that hold strings or messages, by number."""
    at, end = 0, len(message)
    while at < end:
        tag, at = _varint(message, at)
        tag &= 0xFFFFFFFF  # what is beyond 32 bits, protobuf drops as well
        wire = tag & 7
        if wire == LENGTH:
            size, at = _varint(message, at)
            yield tag >> 3, message[at : at + size]
            at += size
        elif wire == VARINT:
            _, at = _varint(message, at)
        elif wire in (EIGHT_BYTES, FOUR_BYTES):
            at += 8 if wire == EIGHT_BYTES else 4
        else:
            raise ValueError(f"a field of unknown wire type {wire}")
    if at > end:
        raise ValueError("it ends in the middle of a field")


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """Return a number of 7 bits a byte, the lowest first, and where it ends."""
    value = shift = 0
    while at < len(message):
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
    raise ValueError("it ends in the middle of a field")
