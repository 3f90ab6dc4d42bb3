"""What is a fault of `rollouts` beside what `benchmarks.rollout` finds."""

import pytest

from benchmarks.soak.ledger import Ledger
from benchmarks.soak.scenarios.rollouts import Rollouts


@pytest.mark.parametrize(
    ("degraded", "memory", "expected"),
    [(0.1, 1.1, ""), (0.101, 1.1, "0.101 of the recalls"), (0.0, 1.101, "memory is 1.101")],
)
def test_more_than_a_few_degraded_answers_or_more_memory_is_a_fault(
    degraded: float, memory: float, expected: str
) -> None:
    ledger = Ledger()
    told = {"degraded, of the recalls": degraded, "memory, after of before": memory}
    Rollouts().judge(ledger, told)
    assert [expected in fault for fault in ledger.faults] == ([True] if expected else [])
