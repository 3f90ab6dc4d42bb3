from pathlib import Path

import pytest

from benchmarks.recall_http.load import Failed
from benchmarks.recall_http.ratios import TARGETS, medians, ratios
from benchmarks.recall_http.rounds import CLOSED, Bench, Options, run
from benchmarks.recall_http.services import Service
from benchmarks.recall_http.world import World
from service.redis.embedded import EmbeddedRedis

TINY = Options(items=300, seconds=0.3, rounds=1, posted=20, users=40, checked=10)


def test_one_small_round_asks_every_service_and_gives_every_ratio(tmp_path: Path) -> None:
    world, rounds = run(tmp_path, TINY)
    [found] = rounds
    for name in ("ours", "idiomatic", "tuned"):
        assert {f"{name} 1 c={c}" for c in CLOSED} <= found.seen.keys()
        assert f"{name} 2 c=32" in found.seen
    assert {f"ours 1 at {share} %" for share in (50, 80)} <= found.seen.keys()
    assert all(one.answered and one.cpu_us > 0 for one in found.seen.values())
    assert found.seen["tuned 2 c=32"].redis_cpu_us > 0
    assert {"read c=1", "read c=32", "tower", "search"} <= found.parts.keys()
    told = ratios(rounds)
    assert [one["ratio"] for one in told] == [target.name for target in TARGETS]
    assert all(one["median"] > 0 and one["is"] in ("met", "missed") for one in told)
    assert medians(rounds)["loads"].keys() == found.seen.keys()
    assert world["items"] == 300


class Elsewhere(Service):
    """A service whose answers hold other items than the nearest."""

    def recall(self, user: str) -> list[str]:
        return [f"i{n}" for n in range(100)]


def test_answers_with_other_items_than_the_nearest_are_no_benchmark(tmp_path: Path) -> None:
    world = World(tmp_path, TINY.items, TINY.users, TINY.posted)
    bench = Bench(TINY, world, EmbeddedRedis(tmp_path / "redis"))
    bench.services["tuned 1"] = Elsewhere(port=1, top=1)
    with pytest.raises(Failed, match="tuned 1: answers hold 0.* of the nearest items"):
        bench.check()
