"""Weighted matrix factorisation: what users clicked, as vectors of users and of items."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from export.contract.errors import ConfigError
from export.contract.strict import Strict
from training.vectors import VectorFiles

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

Vectors = NDArray[np.float32]


class WMFConfig(Strict):
    """Hu et al., ICDM 2008, by alternating least squares; every pair is read, clicked or not.

    A pair is wanted to score 1 if it was clicked, with confidence 1 + alpha * (sum of its rows'
    weights), and 0 with confidence 1 if not. `files` is where the factors are written.
    """

    size: int = Field(64, ge=1)
    alpha: float = Field(10.0, ge=0)
    regularization: float = Field(0.1, ge=0)
    iterations: int = Field(15, ge=1)
    seed: int = Field(1, ge=0)
    files: VectorFiles = VectorFiles()

    def fit(self, clicks: "csr_matrix") -> tuple[Vectors, Vectors]:
        """Return float32[users, size] and float32[items, size].

        Args:
            clicks: [users, items], the sum of weights of each pair that was clicked.

        Raises:
            ConfigError: The library that does it is not installed.
        """
        try:
            from implicit.cpu.als import AlternatingLeastSquares
            from threadpoolctl import threadpool_limits
        except ModuleNotFoundError as error:
            raise missing(error) from error
        confidence = clicks.astype(np.float32)
        confidence.data = 1 + self.alpha * confidence.data
        with threadpool_limits(1, "blas"):  # it has threads of its own
            model = AlternatingLeastSquares(
                factors=self.size,
                regularization=self.regularization,
                iterations=self.iterations,
                random_state=self.seed,
            )
            model.fit(confidence, show_progress=False)
        return model.user_factors, model.item_factors


def missing(error: ModuleNotFoundError) -> ConfigError:
    """Return what to say where a library of the extra is not installed."""
    return ConfigError(
        "factors: needs the extra 'factors': pip install 'firstsight[factors]' "
        f"(no module {error.name!r})"
    )
