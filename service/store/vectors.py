"""A kept vector: `id LF rev LF float32 LE`, read only if it is the one meant."""

import numpy as np

from export.contract.bundle import UNIT_NORM
from export.embedder import Vectors


def pack_vector(vector: Vectors) -> bytes:
    """Return the values as little-endian float32; the store puts id and rev in front."""
    return vector.astype("<f4").tobytes()


def unpack_vector(value: bytes | None, one: str, rev: int, dim: int) -> Vectors | None:
    """Return float32[dim] of this id and rev, or None: it is not there, or another, or damaged."""
    head = f"{one}\n{rev}\n".encode()
    if value is None or not value.startswith(head) or len(value) != len(head) + 4 * dim:
        return None
    vector = np.frombuffer(value, "<f4", offset=len(head)).astype(np.float32)
    norm = float(np.sqrt(np.dot(vector, vector)))
    return vector if UNIT_NORM[0] <= norm <= UNIT_NORM[1] else None
