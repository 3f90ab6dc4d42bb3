"""Records become vectors, by the towers of a bundle; the same lines in export and service."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from export.contract.bundle import UNIT_NORM, Bundle, BundleLayout, read_bundle
from export.contract.column_table import ColumnTable
from export.contract.errors import BundleError, SchemaError
from export.contract.schema import Schema
from export.contract.session import open_member
from export.contract.side import Arrays, Record, SideName
from export.golden import check_golden
from export.golden_ranks import check_ranks
from export.ranker import open_ranker

Vectors = NDArray[np.float32]

LEAST, MOST = UNIT_NORM[0] ** 2, UNIT_NORM[1] ** 2

CHUNK = 1024
"""Records embedded by one run of a tower, so that memory does not grow with their number."""


class Embedder:
    """Both towers of one schema, ready to run."""

    def __init__(self, schema: Schema, towers: dict[SideName, ort.InferenceSession]) -> None:
        self.schema = schema
        self._towers = towers
        for side, session in towers.items():
            _check_fits(schema, side, session)

    @classmethod
    def open(cls, layout: BundleLayout, schema: Schema) -> "Embedder":
        """Open the two tower files of a bundle.

        Raises:
            BundleError: A file cannot be opened or does not fit the schema.

        """
        return cls(schema, {s: open_member(layout.tower(s)) for s in ("user", "item")})

    def embed(
        self, side: SideName, records: Sequence[Record], present: Sequence[bool] | None = None
    ) -> Vectors:
        """Return float32[records, dim] of unit length.

        Args:
            side: Whose tower.
            records: Parsed records, as `Side.parse` gives them.
            present: For each record, whether its preference group counts; by default wherever
                a preference feature is known.

        Raises:
            SchemaError: A tower gave a vector that is not finite or not of unit length.

        """
        features = self.schema.side(side)
        if present is None:
            present = [features.has_preference(record) for record in records]
        return self._run(
            side, len(records), lambda part: features.pack(records[part], present[part])
        )

    def embed_columns(self, side: SideName, table: ColumnTable) -> Vectors:
        """Return what `embed` does of the same rows as records.

        Raises:
            SchemaError: As `embed` does.

        """
        features = self.schema.side(side)
        present = features.have_preference(table.columns)
        return self._run(
            side, len(table), lambda part: features.pack_columns(table.columns, present, part)
        )

    def _run(self, side: SideName, rows: int, packed: Callable[[slice], Arrays]) -> Vectors:
        vectors = np.empty((rows, self.schema.dim), dtype=np.float32)
        for start in range(0, rows, CHUNK):
            part = slice(start, start + CHUNK)
            vectors[part] = self._towers[side].run(["vector"], packed(part))[0]
        squared = np.einsum("ij,ij->i", vectors, vectors)
        if len(squared) and not LEAST <= squared.min() <= squared.max() <= MOST:  # nor with a NaN
            raise SchemaError(f"the {side} tower gave a vector that is not of unit length")
        return vectors


def _check_fits(schema: Schema, side: SideName, session: ort.InferenceSession) -> None:
    kinds = {"tensor(string)": "string", "tensor(float)": "float32", "tensor(bool)": "bool"}
    asked = session.get_inputs()
    got = {one.name: (kinds.get(one.type, one.type), *one.shape) for one in asked}
    expected = {one.name: (one.dtype, *one.shape) for one in schema.side(side).inputs}
    if got != expected:
        raise BundleError(f"{side} tower: its inputs are {got}, the schema says {expected}")
    outputs = [one.name for one in session.get_outputs()]
    if outputs != ["vector"]:
        raise BundleError(f"{side} tower: its outputs are {outputs}, expected ['vector']")
    shape = session.get_outputs()[0].shape
    if shape[1:] != [schema.dim]:
        raise BundleError(f"{side} tower: gives {shape}, the schema says [batch, {schema.dim}]")


def open_bundle(folder: Path, *, opens_index: bool = False) -> tuple[Bundle, Embedder]:
    """Read a bundle, open its towers and its ranker, and ask its golden queries.

    Args:
        folder: The bundle's.
        opens_index: As in `read_manifest`.

    Raises:
        BundleError: Anything is wrong with it; names the member.

    """
    bundle = read_bundle(folder, opens_index=opens_index)
    embedder = Embedder.open(bundle.layout, bundle.schema)
    check_golden(bundle, embedder)
    if bundle.ranker is not None:
        check_ranks(bundle, open_ranker(bundle.layout, bundle.schema, bundle.ranker.facts))
    return bundle, embedder
