import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.index.ids import Ids

texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)


@given(st.lists(texts, unique=True), st.lists(texts))
def test_every_id_has_its_row_and_every_row_its_id(here: list[str], others: list[str]) -> None:
    ids = Ids(here)
    assert list(ids) == here
    assert [ids.row(one) for one in here] == list(range(len(here)))
    asked = [*here, *others]
    assert set(ids.rows(asked).tolist()) == set(range(len(here)))
    strange = set(others) - set(here)
    assert all(ids.row(one) is None and one not in ids for one in strange)
    assert ids.rows(strange).size == 0


def test_rows_are_taken_in_the_order_asked() -> None:
    ids = Ids(["a", "ü", "01", "1"])
    assert ids.take(np.array([3, 0, 3])) == ["1", "a", "1"]
    assert ids[-1] == "1"
    assert ids[1:3] == ["ü", "01"]
    with pytest.raises(IndexError):
        ids[4]


def test_ids_are_told_as_json_strings_with_where_each_ends() -> None:
    ids = Ids(["a", 'q"', "ü"])
    text, ends = ids.texts(np.array([2, 1, 0]))
    assert text == '"ü","q\\"","a",'.encode()
    assert ends.tolist() == [5, 11, 15]
    assert ids.texts(np.array([], np.int64))[0] == b""


def test_ids_of_one_hash_are_told_apart() -> None:
    ids = Ids(["a", "b", "c"])
    ids._hashes[:] = hash("b")  # as if all had collided
    assert ids.row("b") == 1
    assert ids.rows(["b"]).tolist() == [1]
    ids._hashes[:] = hash("x")
    assert ids.row("x") is None
    assert ids.rows(["x"]).size == 0


def test_an_id_takes_less_than_fifty_bytes() -> None:
    ids = Ids([f"video{n}" for n in range(100_000)])
    held = len(ids._text.tobytes()) + ids._starts.nbytes + ids._hashes.nbytes + ids._order.nbytes
    assert held < 50 * len(ids)
