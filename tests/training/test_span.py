import re

import pytest

from export.contract.errors import ConfigError
from training.span import Choice, Span, read_searched


@pytest.mark.parametrize(
    ("text", "path", "values"),
    [
        ("training.learning_rate=1e-4..1e-2", "training.learning_rate", Span(1e-4, 1e-2)),
        ("tower.dim=16..128", "tower.dim", Span(16, 128)),
        ("losses.0.logq=[off, classic]", "losses.0.logq", Choice(("off", "classic"))),
        ("tower.hidden=[[], [64]]", "tower.hidden", Choice(([], [64]))),
    ],
)
def test_what_is_searched_is_read(text: str, path: str, values: Span | Choice) -> None:
    assert read_searched(text) == (path, values)


@pytest.mark.parametrize(
    "text",
    ["tower.dim", "=1..2", "tower.dim=8", "tower.dim=[8]", "tower.dim=["],
)
def test_what_is_no_search_is_refused_with_what_would_be_right(text: str) -> None:
    with pytest.raises(ConfigError, match=r"expected path=low..high or path=\[one, other\]"):
        read_searched(text)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("tower.dim=2..1", "got 2..1, expected the lower end first"),
        ("a=1..", "got None, expected a number"),
        ("a=x..2", "got 'x', expected a number"),
    ],
)
def test_ends_that_span_nothing_are_told(text: str, told: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(f"--search {text}: {told}")):
        read_searched(text)


def test_far_ends_are_searched_by_factors() -> None:
    assert Span(0.001, 0.01).is_log
    assert not Span(0.01, 0.09).is_log
    assert not Span(0, 1).is_log
    assert not Span(0.1, 1.0, step=0.1).is_log
