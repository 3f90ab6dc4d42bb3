"""Versions are replaced under load, in every way there is, and no answer contradicts its own."""

from pathlib import Path

from benchmarks.rollout.publisher import WAYS
from benchmarks.rollout.scenario import Options, run

SMALL = Options(
    items=600,
    dim=16,
    rollouts=len(WAYS) + 1,
    users=200,
    bases=2,
    rate=60.0,
    measured_s=0.5,
    writes=20.0,
    pause_s=0.2,
    every=2,
    k=20,
    # A busy machine is not taken for a Redis that hangs.
    settings={"linger_s": 1.0, "unnamed_kept_s": 0.2, "store_timeout_ms": 10_000},
)


def test_rollouts_under_load_fail_no_request_contradict_no_answer_and_lose_no_item(
    tmp_path: Path,
) -> None:
    result = run(tmp_path, SMALL)
    assert result.failures == [], result.figures
    verdict, final = result.verdict, result.final
    assert set(result.figures["kinds"]) == set(WAYS)
    assert final.version == max(verdict.versions)
    assert len(verdict.versions) >= SMALL.rollouts
    assert verdict.scores > 1000
    assert final.put > 10
    assert final.removed > 0
    assert final.unsure == 0
