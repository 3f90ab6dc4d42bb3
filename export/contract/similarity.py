"""What a score is: the cosine, or an inner product that an exact lift turns into one.

Every vector that is served has unit length. Towers of `inner_product` give vectors of any length,
so theirs are lifted by one dimension (Bachrach et al., RecSys 2014, with users of unit length): an
item v to [v / M, sqrt(1 - |v|^2 / M^2)], a user u to [u / |u|, 0]. Their inner product is
<u, v> / (|u| M), which orders items as <u, v> does. M is no smaller than any item was at export; an
item beyond it is cut to length M, and its last value is 0 exactly.
"""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Similarity = Literal["cosine", "inner_product"]

ROOM = 1.1
"""M over the longest vector of the catalogue: room for items that come later."""

SHORTEST = 1e-12


def extra_dims(similarity: Similarity) -> int:
    """Return by how many values a served vector is longer than what its tower program gives."""
    return 1 if similarity == "inner_product" else 0


def lifted_users(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return [u / |u|, 0] of each row."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.pad(vectors / np.maximum(norms, SHORTEST), ((0, 0), (0, 1))).astype(np.float32)


def lifted_items(vectors: NDArray[np.float32], largest_norm: float) -> NDArray[np.float32]:
    """Return [v / M, sqrt(1 - |v|^2 / M^2)] of each row, cut to length M."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    share = np.minimum(norms / largest_norm, 1)
    rest = np.sqrt((1 - share) * (1 + share))
    head = vectors / np.maximum(norms, largest_norm)
    return np.concatenate([head, rest], axis=1).astype(np.float32)


def count_clipped(similarity: Similarity, vectors: NDArray[Any]) -> int:
    """Return how many lifted item vectors were cut to length M."""
    return int((vectors[:, -1] == 0).sum()) if similarity == "inner_product" else 0
