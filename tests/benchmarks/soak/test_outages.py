"""What is made of the injections of `outages`: the median of each kind is held to its bounds."""

import pytest

from benchmarks.soak.ledger import Ledger
from benchmarks.soak.scenarios.outages import Outage, Outages


@pytest.mark.parametrize(
    ("more_ms", "closed_s", "expected"),
    [
        ([50, 59, 900], [0.5, 1.9, 9], []),
        ([50, 61, 62], [0.5, 1.9, 9], ["cut: 61 ms more than usual, expected 60"]),
        ([50, 59, 62], [0.5, 2.1, 9], ["cut: closed after 2.10 s, expected 2"]),
    ],
)
def test_one_injection_in_a_busy_moment_is_no_fault_and_most_of_them_are(
    more_ms: list[float], closed_s: list[float], expected: list[str]
) -> None:
    ledger = Ledger()
    found = [Outage(*pair) for pair in zip(more_ms, closed_s, strict=True)]
    Outages().judge(ledger, {"hung": [Outage(0.0, 0.0)], "cut": found})
    assert ledger.faults == expected
