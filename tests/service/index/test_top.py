import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from service.index.top import top


@given(st.lists(st.integers(-3, 3)), st.data())
def test_top_is_what_sorting_all_gives(values: list[int], data: st.DataObject) -> None:
    k = data.draw(st.integers(0, len(values)))
    rows, scores = top(np.array(values, np.float32), k)
    expected = sorted(range(len(values)), key=lambda row: (-values[row], row))[:k]
    assert rows.tolist() == expected
    assert scores.tolist() == [values[row] for row in expected]
