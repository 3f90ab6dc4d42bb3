"""JSON as it leaves the service: to clients, and into Redis."""

from array import array

import numpy as np
import orjson


def json_bytes(value: object) -> bytes:
    """Return a value as JSON; float32 is written in the fewest digits that read back as it.

    Numpy arrays and the arrays of parsed vectors become lists.

    Raises:
        orjson.JSONEncodeError: A text is not UTF-8 (half of a surrogate pair).

    """
    return orjson.dumps(value, default=_as_numpy, option=orjson.OPT_SERIALIZE_NUMPY)


def _as_numpy(value: object) -> object:
    if isinstance(value, array):
        return np.asarray(value)
    raise TypeError(f"{type(value).__name__} is no JSON")
