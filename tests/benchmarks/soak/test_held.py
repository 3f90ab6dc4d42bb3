"""The harness notices what it is there for: items lost, back, elsewhere or never written."""

from collections.abc import Iterator

import numpy as np
import pytest
import redis

from benchmarks.soak.catalogue import DIM, FEATURE, make_bundle
from benchmarks.soak.held import held_to, logged_in
from benchmarks.soak.ledger import Acknowledged, Ledger
from benchmarks.soak.replicas import lines, redis_url
from export.embedder import Vectors
from tests.end_to_end.processes import Served


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("held")
    make_bundle(folder / "bundles" / "made-1", 50, seed=1)
    served = Served(folder / "data", folder / "bundles" / "made-1", "--workers", "2")
    yield served
    served.kill()


def somewhere(seed: int) -> Vectors:
    place = np.random.default_rng(seed).standard_normal(DIM).astype(np.float32)
    return np.asarray(place / np.linalg.norm(place), np.float32)


@pytest.fixture
def ledger(served: Served) -> Ledger:
    """Three items that were posted, of which one was removed again."""
    ledger = Ledger()
    for number, one in enumerate(("a", "b", "c")):
        vector = somewhere(number)
        posted = served.ask("POST", "/items", {"id": one, FEATURE: vector.tolist()})[1]
        ledger.acknowledged(Acknowledged(one, posted["log_id"], True), vector)
    status, _ = served.ask("DELETE", "/items/c")
    assert status == 204
    with redis.Redis.from_url(redis_url(served)) as client:
        newest = list(logged_in(client))[-1]
    ledger.acknowledged(Acknowledged("c", newest, True), None)
    return ledger


def faults(served: Served, ledger: Ledger) -> str:
    held_to(served, ledger, redis_url(served), 2)
    return "\n".join(ledger.faults)


def test_a_service_that_kept_its_word_has_no_faults(served: Served, ledger: Ledger) -> None:
    ledger.unanswered("never-sent", somewhere(9))
    found = held_to(served, ledger, redis_url(served), 2)
    assert ledger.faults == []
    assert (found["live"], found["removed"], found["unanswered"]) == (2, 1, 1)


def test_an_item_that_no_replica_recalls_is_a_fault_of_each(served: Served, ledger: Ledger) -> None:
    ledger.acknowledged(Acknowledged("lost", "1-1", True), somewhere(7))
    told = faults(served, ledger)
    assert "Redis does not hold lost, which was acknowledged" in told
    for number in (0, 1):
        assert f"worker {number}: lost was acknowledged and is not recalled" in told


def test_an_item_that_stands_elsewhere_is_not_recalled(served: Served, ledger: Ledger) -> None:
    ledger.items["a"].states = [somewhere(8)]
    assert "worker 0: a was acknowledged and is not recalled" in faults(served, ledger)


def test_a_removed_item_that_is_recalled_is_a_fault(served: Served, ledger: Ledger) -> None:
    ledger.items["b"].states = [None]
    assert "worker 1: b was removed and is recalled" in faults(served, ledger)


def test_an_unanswered_item_must_be_in_one_of_its_states(served: Served, ledger: Ledger) -> None:
    ledger.items["a"].states = [None, somewhere(8)]
    assert "worker 0: a is 200, and may be in one of 2 other states" in faults(served, ledger)


def test_an_item_that_nobody_wrote_is_a_fault(served: Served, ledger: Ledger) -> None:
    del ledger.items["b"]
    told = faults(served, ledger)
    assert "Redis holds b, which nobody wrote" in told
    assert "expected" in told  # and the checksums tell


def test_there_is_a_line_to_each_worker(served: Served) -> None:
    with lines(served) as each:
        assert len(each) == 2
        clients = {
            one.raddr.port: process.pid
            for process in served.workers()
            for one in process.net_connections("tcp")
            if one.raddr
        }
        assert {clients[line.port] for line in each} == {one.pid for one in served.workers()}
