"""The index of a bundle: opened from its file, or built, since an index is only a cache."""

import numpy as np
from pydantic import TypeAdapter, ValidationError

from export.contract.bundle import Bundle
from export.contract.errors import BundleError
from export.contract.schema import explain
from export.index import IndexConfig
from export.index.base import VectorIndex
from export.index.clustered import queries_near
from export.index.exact import ExactConfig, ExactIndex
from export.index.tune import SAME_SCORE

QUERIES = 32
"""Those by which an index that is opened is held against exact search."""
DEVIATIONS = 4.0
"""How many standard errors below its target a recall is by chance once in 30,000 times."""


def open_index(bundle: Bundle) -> VectorIndex:
    """Open the index of a bundle, or build it from the bundle's vectors.

    Raises:
        BundleError: Its settings are none, its file is not the one that was written, or it finds
            less than the bundle's target, by more than chance.
    """
    settings = bundle.manifest.index.settings
    try:
        config: IndexConfig = TypeAdapter(IndexConfig).validate_python(settings)
    except ValidationError as error:
        raise BundleError(f"{bundle.layout.manifest}: index.settings: {explain(error)}") from error
    path = bundle.layout.index
    sha256 = bundle.manifest.checksums.get(path.relative_to(bundle.layout.folder).as_posix())
    if sha256 is None:
        index = config.build(bundle.vectors)
    else:
        index = config.load(path, sha256=sha256, vectors=bundle.vectors)
    _check_recall(bundle, index)
    return index


def _check_recall(bundle: Bundle, index: VectorIndex) -> None:
    """Hold some searches against exact ones over the bundle's own vectors.

    What an index says of scores is not believed: its labels may be those of other vectors.

    Raises:
        BundleError: It finds less than the target.
    """
    if isinstance(index, ExactIndex) or not len(index):
        return
    vectors, report = bundle.vectors, bundle.manifest.index
    queries = queries_near(vectors, QUERIES, seed=2)
    _, truth = ExactConfig().build(vectors).search(queries, report.k)
    labels, _ = index.search(queries, report.k)
    found = np.einsum("qkd,qd->qk", vectors[labels], queries)
    recall = np.mean(found >= truth[:, -1:] - SAME_SCORE, axis=1)  # [queries]
    chance = DEVIATIONS * float(recall.std(ddof=1)) / QUERIES**0.5
    if (mean := float(recall.mean())) + chance < report.target_recall:
        raise BundleError(
            f"{bundle.layout.folder}: index: recall@{report.k} of {QUERIES} searches is "
            f"{mean:.4f}, expected {report.target_recall}; export the bundle again"
        )
