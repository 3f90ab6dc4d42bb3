import time

from hypothesis import given, settings
from hypothesis import strategies as st


@settings(max_examples=2)
@given(st.booleans())
def test_an_example_may_take_as_long_as_the_machine_needs(drawn: bool) -> None:
    time.sleep(0.25)  # over Hypothesis' own deadline of 0.2 s
    assert drawn in (True, False)
