"""Sessions: rows of the interactions that belong together by the value of a column."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.contract.errors import ConfigError
from training.interactions import Interactions


def session_codes(column: str, rows: Interactions, chosen: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the session of each chosen row, numbered from 0; a row without a value is its own.

    Raises:
        ConfigError: The interactions have no such column.
    """
    own: dict[str, NDArray[Any]] = {"user_id": rows.user, "item_id": rows.item}
    values = own.get(column, rows.columns.get(column))
    if values is None:
        have = ", ".join([*own, *rows.columns])
        raise ConfigError(f"losses: session {column!r}: the interactions have {have}, or say batch")
    numbers: dict[int | str, int] = {}
    return np.array(
        [
            numbers.setdefault(row if _is_missing(value) else repr(value), len(numbers))
            for row, value in enumerate(values[chosen].tolist())
        ],
        dtype=np.int64,
    )


def _is_missing(value: Any) -> bool:
    return value is None or value != value  # NaN
