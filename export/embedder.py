"""Records become vectors, by the towers of a bundle; the same lines in export and service."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from export.contract.bundle import UNIT_NORM, Bundle, BundleLayout, read_bundle
from export.contract.errors import BundleError, SchemaError
from export.contract.schema import Record, Schema, SideName
from export.contract.session import open_session

Vectors = NDArray[np.float32]

CHUNK = 1024
"""Records embedded by one run of a tower, so that memory does not grow with their number."""

GOLDEN_TOLERANCE = 1e-4


class Embedder:
    """Both towers of one schema, ready to run."""

    def __init__(self, schema: Schema, towers: dict[SideName, ort.InferenceSession]) -> None:
        self.schema = schema
        self._towers = towers
        for side, session in towers.items():
            _check_inputs(schema, side, session)

    @classmethod
    def open(cls, layout: BundleLayout, schema: Schema) -> "Embedder":
        """Open the two tower files of a bundle.

        Raises:
            BundleError: A file cannot be opened or does not fit the schema.

        """
        return cls(schema, {s: _open_tower(layout.tower(s)) for s in ("user", "item")})

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
        vectors = np.empty((len(records), self.schema.dim), dtype=np.float32)
        for start in range(0, len(records), CHUNK):
            part = slice(start, start + CHUNK)
            arrays = features.pack(records[part], present[part])
            vectors[part] = self._towers[side].run(["vector"], arrays)[0]
        norms = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
        if not bool(np.all((norms >= UNIT_NORM[0]) & (norms <= UNIT_NORM[1]))):
            raise SchemaError(f"the {side} tower gave a vector that is not of unit length")
        return vectors


def _open_tower(path: Path) -> ort.InferenceSession:
    try:
        return open_session(path)
    except Exception as error:  # onnxruntime raises a dozen unrelated classes here
        raise BundleError(f"{path}: {error}") from error


def _check_inputs(schema: Schema, side: SideName, session: ort.InferenceSession) -> None:
    kinds = {"tensor(string)": "string", "tensor(float)": "float32", "tensor(bool)": "bool"}
    got = {one.name: kinds.get(one.type, one.type) for one in session.get_inputs()}
    expected = {one.name: one.dtype for one in schema.side(side).inputs}
    if got != expected:
        raise BundleError(f"{side} tower: its inputs are {got}, the schema says {expected}")
    outputs = [one.name for one in session.get_outputs()]
    if outputs != ["vector"]:
        raise BundleError(f"{side} tower: its outputs are {outputs}, expected ['vector']")


def open_bundle(folder: Path) -> tuple[Bundle, Embedder]:
    """Read a bundle, open its towers, and ask its golden queries.

    Raises:
        BundleError: Anything is wrong with it; names the member.

    """
    bundle = read_bundle(folder)
    embedder = Embedder.open(bundle.layout, bundle.schema)
    check_golden(bundle, embedder)
    return bundle, embedder


def golden_queries(
    bundle_vectors: Vectors, ids: Sequence[str], users: Sequence[Record], embedder: Embedder
) -> list[dict[str, Any]]:
    """Return queries with their answers: each user with and without preference, top ten items."""
    golden = []
    for user in users:
        for present in (True, False):
            vector = embedder.embed("user", [user], [present])[0]
            scores = bundle_vectors @ vector
            top = np.argsort(-scores, kind="stable")[:10]
            golden.append(
                {
                    "user": user,
                    "present": present,
                    "vector": [float(value) for value in vector],
                    "items": [ids[row] for row in top],
                    "scores": [float(score) for score in scores[top]],
                }
            )
    return golden


def check_golden(bundle: Bundle, embedder: Embedder) -> None:
    """Ask the golden queries again.

    Raises:
        BundleError: A vector or a score differs from the recorded one by more than 1e-4.

    """
    rows = {one: row for row, one in enumerate(bundle.ids)}
    golden = json.loads(bundle.layout.golden.read_bytes())
    for number, query in enumerate(golden, start=1):
        user = bundle.schema.user.parse(query["user"])
        vector = embedder.embed("user", [user], [query["present"]])[0]
        found = bundle.vectors[[rows[one] for one in query["items"]]] @ vector
        off = max(
            np.abs(vector - np.float32(query["vector"])).max(),
            np.abs(found - np.float32(query["scores"])).max(initial=0),
        )
        if not off <= GOLDEN_TOLERANCE:
            raise BundleError(f"{bundle.layout.golden}: query {number} is off by {off:.2g}")
