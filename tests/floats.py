"""Parsed vectors, written as shortly as a test wants them."""

from array import array

from export.contract.statistics import Floats


def floats(*numbers: float) -> Floats:
    """Return numbers as a parsed vector holds them."""
    return array("f", numbers)
