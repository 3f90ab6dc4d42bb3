"""Ways to change a file that go past its checksums: by its structure, or byte by byte."""

import json
import random
import struct
from collections.abc import Callable
from typing import Any

MAGIC = b"\x93NUMPY"

DEEP: Any = json.loads("[" * 900 + "]" * 900)
ODD: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2**31, 2**63, -(2**63) - 1, 10**40, 0.5, 1e308, -0.0),
    *(float("nan"), float("inf"), "", "\0", "\ud800", "../..", "/etc/passwd", "a" * 5000, "é"),
    *([], {}, [[]], {"": None}, [None] * 300, {"kind": "hnsw"}, {"kind": "number"}, DEEP),
)


def mutate_bytes(data: bytes, rng: random.Random) -> bytes:
    """Flip bits, cut, repeat, overwrite with extreme numbers: up to four times."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        place = rng.randrange(len(changed) + 1)
        length = rng.choice((1, 2, 4, 8, 64))
        extreme = rng.choice((0, 1, -1, 127, 2**31 - 1, 2**40, 2**63 - 1))
        match rng.randrange(6):
            case 0 if place < len(changed):
                changed[place] ^= 1 << rng.randrange(8)
            case 1:
                changed[place : place + 8] = struct.pack("<q", extreme)
            case 2:
                del changed[place : place + length]
            case 3:
                changed[place:place] = bytes(rng.randrange(256) for _ in range(length))
            case 4:
                changed[place:place] = changed[place : place + length] * rng.randint(1, 64)
            case _:
                del changed[place:]
    return bytes(changed)


def mutate_json(data: bytes, rng: random.Random) -> bytes:
    """Replace, remove, repeat or rename up to three values of a document."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return mutate_bytes(data, rng)
    for _ in range(rng.randint(1, 3)):
        value = _changed(value, rng)
    text = json.dumps(value)
    if rng.random() < 0.1:
        text = "[" * 100_000 + text
    elif rng.random() < 0.1:
        text = text.replace("{", '{"format": 1, "format": 2, ', 1)
    return text.encode("utf-8", "surrogatepass")


def _changed(value: Any, rng: random.Random) -> Any:
    inner = value if isinstance(value, dict | list) and value else None
    if inner is None or rng.random() < 0.15:
        return rng.choice(ODD)
    if isinstance(inner, list):
        place = rng.randrange(len(inner))
        return [_changed(one, rng) if at == place else one for at, one in enumerate(inner)]
    name = rng.choice(sorted(inner))
    match rng.randrange(8):
        case 0:
            return {one: inner[one] for one in inner if one != name}
        case 1:
            return inner | {rng.choice(("", "\ud800", "\0", name + "x", "../x")): inner[name]}
        case _:
            return inner | {name: _changed(inner[name], rng)}


def mutate_npy(data: bytes, rng: random.Random) -> bytes:
    """Write another header over an array: shapes, types and versions that it has not."""
    if not data.startswith(MAGIC) or rng.random() < 0.3:
        return mutate_bytes(data, rng)
    length = struct.unpack("<H", data[8:10])[0]
    shape = rng.choice(("(40, 8)", "(2**62,)", "(4611686018427387904, 8)", "(-1,)", "()", "(0, 8)"))
    kind = rng.choice(("'<f4'", "'|O'", "'<f8'", "'V8'", "[('a', '<f4')]", "'" + "x" * 99 + "'"))
    order = rng.choice(("False", "True", "None", "0"))
    header = f"{{'descr': {kind}, 'fortran_order': {order}, 'shape': {shape}, }}"
    header = rng.choice((header, header[: rng.randrange(len(header))], "(" * 5000, "\0" * 64))
    version = rng.choice((b"\x01\x00", b"\x02\x00", b"\x03\x00", b"\x09\x09"))
    size = struct.pack("<H" if version == b"\x01\x00" else "<I", len(header))
    return MAGIC + version + size + header.encode() + data[10 + length :]


Mutate = Callable[[bytes, random.Random], bytes]


def mutation_of(name: str, data: bytes) -> Mutate:
    """Return how a file of this name is changed."""
    if name.endswith(".json") and data:
        return mutate_json
    return mutate_npy if name.endswith(".npy") else mutate_bytes
