"""What is made of the rounds of `overload`: shares of the capacity, and what is a fault."""

import os
import time

import pytest

from benchmarks.cpu import cpu_s
from benchmarks.soak.askers import Asked
from benchmarks.soak.ledger import Ledger
from benchmarks.soak.scenarios.overload import Overload, Probes, Round, figures_of
from tests.end_to_end.processes import Served


def asked(answered: int, refused: int, cpu: float) -> Asked:
    statuses = {status: n for status, n in ((200, answered), (503, refused)) if n}
    waits = [0.001 * n for n in range(refused)]
    return Asked(statuses=statuses, refused_s=waits, refused_cpu_s=waits, cpu_s=cpu)


ALONE = asked(100, 0, 1.0)


def judged(crowd: Asked, refusal_s: float) -> tuple[dict[str, object], list[str]]:
    rounds, ledger = [Round(ALONE, crowd)] * 3, Ledger()
    told = figures_of(rounds, refusal_s, seconds=2.0, times=10.0)
    told["nobody refused after (s)"] = 0.1
    probes = Probes(Served.__new__(Served))
    Overload().judge(ledger, rounds, probes, told)
    return told, ledger.faults


def test_goodput_is_counted_by_the_workers_cpu() -> None:
    told, faults = judged(asked(46, 900, 0.5), refusal_s=1e-5)
    assert told["answered, of the capacity"] == 0.92
    assert told["answered (batches/s)"] == 23
    assert told["refused within (ms by the clock), p50, p99"] == [449.5, 890.0]
    assert faults == []


def test_less_than_the_share_is_a_fault_by_what_was_answered_and_by_what_a_refusal_costs() -> None:
    _, [faults] = judged(asked(44, 900, 0.5), refusal_s=1e-5)
    assert faults == "answered, of the capacity: 0.88, expected at least 0.9"
    told, [faults] = judged(asked(46, 900, 0.5), refusal_s=2e-4)
    assert told["the same by what a refusal costs"] == round(0.8 / 0.98, 3)
    assert faults.startswith("the same by what a refusal costs: 0.816")


def test_nobody_is_refused_within_the_capacity_and_somebody_over_it() -> None:
    _, [fault] = judged(asked(50, 0, 0.5), refusal_s=1e-5)
    assert fault == "crowd: {200: 150}, expected [200, 503]"


def test_the_clock_of_a_process_is_that_of_its_cpu() -> None:
    time.sleep(0.2)  # which is none
    assert cpu_s(os.getpid()) == pytest.approx(time.process_time(), abs=0.05)
