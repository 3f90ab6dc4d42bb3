"""Each scenario of `make soak`, shortened to seconds: the service keeps its word in it."""

from pathlib import Path

import pytest

from benchmarks.soak.scenario import Scenario, result_of
from benchmarks.soak.scenarios import SCENARIOS
from benchmarks.soak.scenarios.everysec import Everysec
from benchmarks.soak.scenarios.outages import Outages
from benchmarks.soak.scenarios.rollouts import Rollouts
from tests.faults.own_redis import waitaof_server


@pytest.mark.parametrize("kind", SCENARIOS, ids=[kind.name for kind in SCENARIOS])
def test_the_service_keeps_its_word(kind: type[Scenario], tmp_path: Path) -> None:
    found = result_of(kind.scaled("small"), tmp_path, print)
    assert found["faults"] == [], found
    figures = found["figures"]
    if figures["writes"]:
        assert figures["writes"] > 100
        assert figures["live"] > 0
        assert figures["removed"] > 0
    elif kind is Rollouts:
        assert figures["rollouts"] == 2
        assert figures["scores made again"] > 100
    elif kind is Outages:
        assert all(figures[one] for one in ("hung", "cut", "slow", "down at the start"))
    else:
        assert figures["answered, of the capacity"] > 0


def test_a_write_that_waits_for_the_disk_outlives_a_kill(tmp_path: Path) -> None:
    try:
        waitaof_server()
    except LookupError as missing:
        pytest.skip(str(missing))
    found = result_of(Everysec.scaled("small", write_ack="fsync"), tmp_path, print)
    assert found["faults"] == [], found
    assert found["figures"]["durability"] == "fsync"
