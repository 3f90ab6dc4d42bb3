import pytest

from benchmarks.recall_http.load import Seen
from benchmarks.recall_http.ratios import TARGETS, parts_us, ratios
from benchmarks.recall_http.rounds import CLOSED, Round
from benchmarks.targets import Target

LOADS = [
    f"{name} {n} c={c}" for name in ("ours", "idiomatic", "tuned") for n in (1, 2) for c in CLOSED
]
LOADS += ["parts 1 c=1", "parts 1 c=32", "ours 1 at 50 %"]


def seen(per_s: float = 1000.0, cpu_us: float = 100.0) -> Seen:
    return Seen(
        answered=1,
        per_s=per_s,
        p50_ms=1.0,
        p99_ms=2.0,
        longest_ms=3.0,
        cpu_us=cpu_us,
        redis_cpu_us=1.0,
        client_cpu_us=1.0,
        body_bytes=1,
    )


def found(**ours: float) -> Round:
    parts = {"read c=1": 40.0, "read c=32": 30.0, "tower": 20.0, "search": 50.0}
    loads = dict.fromkeys(LOADS, seen()) | {"ours 1 c=32": seen(**ours)}
    return Round(seen=loads, parts=parts)


def test_the_bare_parts_are_route_read_run_and_search_at_as_many_connections() -> None:
    assert parts_us(found(), 1) == 100 + 40 + 20 + 50
    assert parts_us(found(), 32) == 100 + 30 + 20 + 50


def test_the_median_of_the_rounds_is_met_or_missed() -> None:
    told = {one["ratio"]: one for one in ratios([found(cpu_us=cpu) for cpu in (100, 140, 190)])}
    cpu = told["CPU of a request over that of its bare parts, c=32"]
    assert (cpu["median"], cpu["least"], cpu["most"], cpu["is"]) == (0.7, 0.5, 0.95, "met")
    faster = told["requests/s over idiomatic, one worker each, c=32"]
    assert (faster["median"], faster["target"], faster["is"]) == (1, "at least 3", "missed")


@pytest.mark.parametrize("target", TARGETS, ids=lambda one: one.name)
def test_a_median_at_the_limit_is_met(target: Target[Round]) -> None:
    assert target.is_met(target.limit)
    assert target.is_met(target.limit * 1.01) == target.is_least
