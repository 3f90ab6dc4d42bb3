"""Replicas behind the real gateway end, start and change their version, and nobody notices."""

from pathlib import Path

import pytest

from benchmarks.gateway.scenario import Options, run
from tests.deploy.gateway import HAPROXY

SMALL = Options(
    items=600,
    dim=16,
    users=200,
    seconds=1.0,  # what is done takes longer
    connections=16,
    share=0.2,
    clients=4,
    measured_s=1.0,
    quiet_s=1.0,
    pause_s=0.5,
    down_s=0.5,
    tried_s=0.5,
    every=5,
    k=20,
)


@pytest.mark.skipif(HAPROXY is None, reason="haproxy is not installed")
def test_restarts_a_kill_a_rollout_and_a_rollback_fail_nothing_that_may_be_repeated(
    tmp_path: Path,
) -> None:
    result = run(tmp_path, SMALL)
    figures = result.figures
    assert result.failures == [], figures
    assert (figures["failed_idempotent"], figures["mixed_versions"]) == (0, 0)
    done = [event["name"] for event in figures["events"]]
    assert done == [
        "restart of replica 1",
        "restart of replica 2",
        "kill -9",
        "rollout",
        "rollback",
    ]
    assert [row["when"] for row in result.rows] == ["before", *done, "between them", "after"]
    assert all(row["requests"] > 20 for row in result.rows), result.rows
    verdict = figures["verdict"]
    assert (verdict["versions"], verdict["scores"] > 1000) == (2, True)
    for final in figures["final"]:
        assert final["put"] > 10
        assert final["removed"] > 0
