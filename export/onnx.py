"""A tower program becomes a tower file, and parity of the two is proven."""

import logging
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import torch
from numpy.typing import NDArray
from onnxscript import ir
from torch.export import ExportedProgram, load

from export.contract.encoder import ENCODED
from export.contract.errors import BundleError
from export.contract.model_file import LARGE_TABLE
from export.contract.run import RunLayout
from export.contract.schema import Schema
from export.contract.session import open_session
from export.contract.side import Arrays, Record, Side, SideName
from export.contract.similarity import lifted_items, lifted_users
from export.golden import invented
from export.graph import Ends
from export.tower_file import TowerFile

Vectors = NDArray[np.float32]

TOLERANCE = 1e-5
"""Largest difference of any element of a vector between torch and onnxruntime."""

BATCHES = (1, 7, 64)
MOST_ROWS = 10_000


def convert(layout: RunLayout, schema: Schema, side: SideName) -> TowerFile:
    """Return encoder graph and tower program of one side in one tower file, without any lift.

    Raises:
        BundleError: The program does not fit the schema.
    """
    ends = Ends.of_tower(schema)
    return convert_program(layout.tower(side), onnx.load(layout.encoder(side)), schema, side, ends)


def convert_program(
    path: Path, encoder: onnx.ModelProto, schema: Schema, side: SideName, ends: Ends
) -> TowerFile:
    """Return an encoder and the program of a file behind it.

    Raises:
        BundleError: The program does not fit the schema.
    """
    names = [*schema.side(side).encoded, *(one.name for one in ends.beside)]
    with _quiet():
        converted = torch.onnx.export(
            load(path),
            dynamo=True,
            external_data=False,
            opset_version=20,
            # A feature may be called as the exporter calls its own tensors ("add", "val_1").
            input_names=[f"input/{name}" for name in names],
            output_names=[ends.output],
            verbose=False,
        )
    if converted is None:
        raise BundleError(f"{path}: the exporter gave no program")
    large = set_aside(converted.model)
    try:
        return TowerFile.join(schema, side, encoder, converted.model_proto, large, ends)
    except (BundleError, ValueError, onnx.checker.ValidationError) as error:
        raise BundleError(f"{path}: does not fit the schema: {error}") from error


def set_aside(program: ir.Model) -> dict[str, NDArray[Any]]:
    """Take the large tables out of a program, which keeps none of their rows, and return them.

    As long as they are no part of a protobuf message, nothing copies them.
    """
    aside = {}
    for name, value in program.graph.initializers.items():
        table = value.const_value
        if table is not None and table.nbytes >= LARGE_TABLE:
            aside[name] = table.numpy()
            value.const_value = ir.tensor(aside[name][:0], name=name)
    return aside


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence what the exporter says of libraries we do not use."""
    exporter = logging.getLogger("torch.onnx")
    level = exporter.level
    exporter.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        exporter.setLevel(level)


def prove_parity(
    layout: RunLayout,
    schema: Schema,
    side: SideName,
    tower: ort.InferenceSession,
    records: Sequence[Record],
    largest_norm: float | None = None,
) -> dict[str, Any]:
    """Compare torch and a tower in onnxruntime over real records, as they are and as if cold.

    Records are taken in turn in batches of 1, 7 and 64, so that all three sizes see bags of
    many lengths; an empty record stands among them. No table holds context, so each record is
    given some that is made up. Where `largest_norm` says that vectors are lifted, they are
    compared so, with the square of their last value: where that is near 0, it tells one rounding
    of the others from the next.

    Returns:
        Rows compared by state and batch size, and the largest absolute difference.

    Raises:
        BundleError: A difference is above 1e-5, or a vector is not finite.
    """
    features = schema.side(side)
    encoder = open_session(layout.encoder(side))
    program = _module(load(layout.tower(side)))
    records = [*in_context(records[: MOST_ROWS // 2 - 1], schema, side), {}]
    counts, worst = Counter[str](), 0.0
    for is_warm in (True, False):
        for size, part in _batches(records):
            present = [is_warm and features.has_preference(record) for record in part]
            arrays = features.pack(part, present)
            got = tower.run(["vector"], arrays)[0]
            expected = program(encoded(encoder, arrays, features.encoded)).numpy()
            if largest_norm is not None:
                expected = _lifted(side, expected, largest_norm)
                got, expected = _comparable(got), _comparable(expected)
            worst = max(_difference(got, expected, f"{side} tower, batch {size}"), worst)
            counts[f"{'warm' if is_warm else 'cold'}, batch {size}"] += len(part)
    return {"rows": dict(counts), "max_abs_difference": worst, "tolerance": TOLERANCE}


def longest(tower: ort.InferenceSession, side: Side, records: Sequence[Record]) -> float:
    """Return the length of the longest vector of some records, as they are and as if cold."""
    found = 0.0
    for _, part in _batches(records, (1024,)):
        for present in ([side.has_preference(one) for one in part], [False] * len(part)):
            vectors = tower.run(["vector"], side.pack(part, present))[0]
            found = max(found, float(np.linalg.norm(vectors, axis=1).max()))
    return found


def _lifted(side: SideName, vectors: Vectors, largest_norm: float) -> Vectors:
    return lifted_users(vectors) if side == "user" else lifted_items(vectors, largest_norm)


def _comparable(vectors: Vectors) -> Vectors:
    return np.concatenate([vectors[:, :-1], vectors[:, -1:] ** 2], axis=1)


def in_context(records: Sequence[Record], schema: Schema, side: SideName) -> list[Record]:
    """Return records with made-up context, which no table holds."""
    context = schema.side(side).context
    if not context:
        return list(records)
    requests = invented(schema, side, len(records) + 1)  # the last one is empty
    return [
        {**record, **{name: value for name, value in request.items() if name in context}}
        for record, request in zip(records, requests, strict=False)
    ]


def _difference(got: NDArray[Any], expected: NDArray[Any], what: str) -> float:
    """Return the largest absolute difference.

    Raises:
        BundleError: It is above 1e-5 or not a number, or the shapes differ.
    """
    if got.shape != expected.shape:
        raise BundleError(f"{what}: onnxruntime gives {got.shape}, torch {expected.shape}")
    off = float(np.abs(got - expected).max())
    if not off <= TOLERANCE:  # also where it is NaN
        raise BundleError(
            f"{what}: torch and onnxruntime differ by {off:.2g} (allowed {TOLERANCE})"
        )
    return off


def _module(program: ExportedProgram) -> Any:
    module = program.module()

    def run(inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        with torch.no_grad():
            vector: torch.Tensor = module(inputs)
        return vector

    return run


def _batches(
    records: Sequence[Record], sizes: Sequence[int] = BATCHES
) -> Iterator[tuple[int, Sequence[Record]]]:
    start, turn = 0, 0
    while start < len(records):
        size = sizes[turn % len(sizes)]
        yield size, records[start : start + size]
        start, turn = start + size, turn + 1


def encoded(session: Any, arrays: Arrays, names: Sequence[str]) -> dict[str, torch.Tensor]:
    """Return the program's inputs: what the encoder makes, and what it passes by."""
    inputs = {one.name: arrays[one.name] for one in session.get_inputs()}
    made = [one.name for one in session.get_outputs()]
    found = dict(zip(made, session.run(made, inputs), strict=True))
    return {name: torch.from_numpy(found.get(ENCODED + name, arrays.get(name))) for name in names}
