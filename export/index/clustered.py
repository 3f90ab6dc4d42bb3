"""Made vectors that lie in clusters as a catalogue's do, and queries near given vectors."""

import numpy as np

from export.index.base import Vectors


def clustered_vectors(
    count: int, dim: int, *, clusters: int | None = None, spread: float = 0.6, seed: int = 1
) -> Vectors:
    """Make float32[count, dim] unit vectors in clusters, in random order; a seed gives them again.

    A vector is its cluster's centre, a random direction, plus `spread` times another random
    direction, normalised: two of one cluster have a cosine of about 1 / (1 + spread^2), .74 by
    default. Cluster c holds a share of the vectors in proportion to 1 / (c + 1)^.5, so some are 10
    to 30 times as large as others. `clusters` is about the root of `count` unless given.
    """
    rng = np.random.default_rng(seed)
    clusters = clusters or max(1, round(count**0.5))
    centres = _directions(rng, clusters, dim)
    shares = np.arange(1, clusters + 1) ** -0.5
    cluster = rng.choice(clusters, size=count, p=shares / shares.sum())
    return unit(centres[cluster] + spread * _directions(rng, count, dim))


def queries_near(vectors: Vectors, count: int, seed: int) -> Vectors:
    """Make float32[count, dim] queries near randomly drawn vectors, at cosines of .6 to 1.

    None of them is in the index, as no user is, and the far ones lie between the clusters.
    """
    rng = np.random.default_rng(seed)
    drawn = vectors[rng.integers(len(vectors), size=count)]
    aside = rng.standard_normal(drawn.shape, dtype=np.float32)
    aside = unit(aside - np.sum(aside * drawn, axis=1, keepdims=True) * drawn)
    cosine = rng.uniform(0.6, 1.0, size=(count, 1)).astype(np.float32)
    return unit(cosine * drawn + np.sqrt(1 - cosine**2) * aside)


def unit(values: np.ndarray[tuple[int, int], np.dtype[np.floating]]) -> Vectors:
    """Scale each row of [n, dim] to length 1, as float32."""
    lengths = np.linalg.norm(values, axis=1, keepdims=True)
    return np.asarray(values / lengths, dtype=np.float32)


def _directions(rng: np.random.Generator, count: int, dim: int) -> Vectors:
    return unit(rng.standard_normal((count, dim), dtype=np.float32))
