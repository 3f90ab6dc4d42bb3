import numpy as np
import orjson
import pytest

from service.http.wire import json_bytes
from tests.floats import floats


def test_vectors_are_lists_in_the_digits_of_float32() -> None:
    known = {"photo": floats(0.1, 2.0), "vector": np.array([0.1], np.float32), "age": 0.1}
    assert json_bytes(known) == b'{"photo":[0.1,2.0],"vector":[0.1],"age":0.1}'


def test_what_is_no_json_is_refused() -> None:
    with pytest.raises(orjson.JSONEncodeError):
        json_bytes({"a": object()})
    with pytest.raises(orjson.JSONEncodeError):
        json_bytes({"a": "\ud800"})
