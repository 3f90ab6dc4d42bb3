import argparse

import pytest
from pydantic import PositiveFloat, ValidationError

from benchmarks.options import add_options, chosen
from export.contract.strict import Strict


class Pauses(Strict):
    count: int = 3
    pause_s: PositiveFloat = 2.5
    kept: str = "as it is"


def asked(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_options(parser, Pauses(), "count", "pause_s")
    return parser.parse_args(words)


def test_what_is_not_asked_for_is_as_the_model_has_it() -> None:
    assert chosen(asked(), Pauses) == Pauses()


def test_what_is_asked_for_is_read_as_its_default_is() -> None:
    assert chosen(asked("--count", "4", "--pause-s", "1"), Pauses) == Pauses(count=4, pause_s=1.0)


def test_what_the_model_does_not_take_is_refused() -> None:
    with pytest.raises(ValidationError, match="pause_s"):
        chosen(asked("--pause-s", "0"), Pauses)
