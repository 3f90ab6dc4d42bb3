from pathlib import Path

from benchmarks.freshness.__main__ import told
from benchmarks.freshness.probe import Took
from benchmarks.freshness.rounds import REPLICAS, Options, Round, run
from benchmarks.recall_http.load import Seen


def seen(per_s: float, p99_ms: float) -> Seen:
    return Seen(
        answered=1,
        per_s=per_s,
        p50_ms=1.0,
        p99_ms=p99_ms,
        longest_ms=99.0,
        cpu_us=1.0,
        redis_cpu_us=1.0,
        client_cpu_us=1.0,
        body_bytes=1,
    )


def made(recalled_ms: float) -> Round:
    took = Took(posted_ms=[5.0] * 99 + [100.0], recalled_ms=[recalled_ms] * 90 + [60.0] * 10)
    return Round(
        capacity=seen(1000, 1),
        relay_ms=[1.0, 2.0, 3.0],
        idle=took,
        half=Took(posted_ms=[40.0] * 100, recalled_ms=[20.0] * 100),
        before=dict.fromkeys(REPLICAS, seen(100, 4)),
        beside=dict.fromkeys(REPLICAS, seen(100, 6)),
        posts=seen(490, 10),
        behind_s=0.1,
    )


def test_quantiles_are_held_against_their_bounds_and_recalls_against_those_without_posts() -> None:
    found = told(Options(), [made(ms) for ms in (4.0, 8.0, 12.0)])
    ratio = {one["ratio"]: (one["median"], one["is"]) for one in found["ratios"]}
    assert ratio["post to recalled, idle: p50 over 10 ms"] == (0.8, "met")
    assert ratio["post to recalled, idle: p99 over 50 ms"] == (1.2, "missed")
    assert ratio["post, at half load: p99 over 20 ms"] == (2.0, "missed")
    assert ratio["500 posts/s: done over asked"] == (0.98, "met")
    assert ratio["500 posts/s: p99 of a post over 20 ms"] == (0.5, "met")
    for name in REPLICAS:
        key = f"500 posts/s: p99 of recalls with them over without, replica {name}"
        assert ratio[key] == (1.5, "met")
    assert found["relay, two processes and Redis alone (ms)"]["p50"] == 2.0


def test_one_small_round_posts_and_recalls(tmp_path: Path) -> None:
    options = Options(
        items=300, rounds=1, probes=10, seconds=0.5, rate=20.0, recalls=20.0, users=40
    )
    [found] = run(tmp_path, options)
    for took in (found.idle, found.half):
        assert len(took.posted_ms) == len(took.recalled_ms) == 10
        assert min(*took.posted_ms, *took.recalled_ms) > 0
    assert len(found.relay_ms) == 10
    assert min(found.relay_ms) > 0
    assert {*found.before, *found.beside} == {*REPLICAS}
    assert found.posts.answered > 0
    told(options, [found])
