"""Latencies are told apart by whether a request was due while a version was being replaced."""

import pytest

from benchmarks.rollout.latency import latencies, statuses
from benchmarks.rollout.publisher import Swap

SWAPS = [Swap("direct", 10.0, 12.0, 13.0), Swap("direct", 20.0, 21.0, 22.0)]


def noted(*rows: tuple[float, float]) -> list[dict[str, float]]:
    return [{"due": due, "took": took} for due, took in rows]


def test_what_was_due_in_a_swap_is_during_it_whenever_it_was_answered() -> None:
    calm = [(1.0, 0.01), (9.9, 0.01), (13.0, 0.01), (19.0, 0.01)]
    told = latencies(noted(*calm, (10.0, 5.0), (12.9, 0.02), (21.0, 0.03)), SWAPS)
    quantiles = dict.fromkeys(("p50_ms", "p99_ms", "p999_ms", "longest_ms"), 10.0)
    assert told["outside"] == {"requests": 4, **quantiles}
    assert told["during"]["requests"] == 3
    assert told["during"]["p50_ms"] == 30.0
    assert told["during"]["longest_ms"] == 5000.0


def test_each_swap_is_held_against_the_pause_before_it() -> None:
    rows = noted((9.0, 0.01), (11.0, 0.02), (15.0, 0.1), (21.0, 0.4))
    told = latencies(rows, SWAPS)["by_rollout"]
    assert told["ratio"]["p50"] == pytest.approx(3.0)
    assert told["bump_ms"]["p99"] == pytest.approx(155.0)


def test_the_time_of_commands_is_left_out_of_the_swapping() -> None:
    swap = Swap("direct", 10.0, 12.0, 13.0, ((10.0, 11.0),))
    told = latencies(noted((10.5, 0.5), (12.5, 0.02)), [swap])
    assert told["during"]["longest_ms"] == 500.0
    assert told["swapping"]["longest_ms"] == 20.0


def test_what_commands_cost_counts_against_the_rollout_and_not_the_swap() -> None:
    swap = Swap("direct", 10.0, 12.0, 13.0, ((10.0, 11.0),))
    told = latencies(noted((9.0, 0.01), (10.5, 0.5), (12.5, 0.02)), [swap])
    assert told["by_rollout"]["ratio"]["p99"] == pytest.approx(50.0)
    assert told["by_swap"]["ratio"]["p99"] == pytest.approx(2.0)


def test_without_a_swap_nothing_is_compared() -> None:
    told = latencies(noted((1.0, 0.01)), [])
    assert told["during"] == {"requests": 0}
    assert told["by_swap"] == told["by_rollout"] == {}


def test_answers_are_counted_by_status() -> None:
    assert statuses([{"status": 503}, {"status": 200}, {"status": 200}]) == {"200": 2, "503": 1}
