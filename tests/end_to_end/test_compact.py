"""A bundle with a compact index, served: by workers that share its files, before and after."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from export.contract.bundle import BundleLayout
from export.embedder import open_bundle
from tests.end_to_end.processes import Served, recalled
from tests.tiny import tiny_bundle

USER = {"country": "de", "taste": {"art": 1.0}}
K = 50


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bundle(tmp_path_factory.mktemp("bundles"), items=2300, index="compact")


@pytest.fixture
def served(tmp_path: Path, bundle: Path) -> Iterator[Served]:
    served = Served(tmp_path / "served", bundle, workers=2)
    try:
        yield served
    finally:
        served.kill()


def mapping(served: Served, path: Path) -> list[psutil.Process]:
    """Return the processes that have a file mapped; those that end meanwhile have none."""
    found = []
    for process in served.family():
        try:
            if str(path) in Path(f"/proc/{process.pid}/maps").read_text():
                found.append(process)
        except OSError:
            continue
    return found


def wait_for(served: Served, path: Path, *, without: set[int]) -> None:
    until = time.monotonic() + 30
    while time.monotonic() < until:
        there = {process.pid for process in mapping(served, path)}
        if len(there) == 3 and not there & without:
            return
        time.sleep(0.05)
    raise AssertionError(f"{there}: {served.log.read_text()}")


def test_a_compact_bundle_is_served_over_http_by_all_workers_and_after_a_handover(
    served: Served, bundle: Path
) -> None:
    read, embedder = open_bundle(bundle)
    vector = embedder.embed("user", [read.schema.user.parse(USER)])[0]
    truth = np.sort(read.vectors @ vector)[::-1][:K]

    def check() -> None:
        for _ in range(10):  # connections of their own, so both workers are asked
            status, answer = served.ask("POST", "/recall", {"user": USER, "k": K})
            assert status == 200
            found = np.array(answer["scores"], np.float32)
            assert np.mean(found >= truth[-1] - 1e-6) >= 0.98
        assert recalled(served, "new")

    path = BundleLayout(bundle).index
    status, answer = served.ask("POST", "/items", {"id": "new", "topics": ["art"]})
    assert (status in (200, 201), answer["searchable"]) == (True, True)
    check()
    loader, *workers = sorted(mapping(served, path), key=lambda one: one.create_time())
    assert len(workers) == 2
    os.kill(workers[0].pid, signal.SIGKILL)
    wait_for(served, path, without={workers[0].pid})
    check()
    served.process.send_signal(signal.SIGHUP)
    wait_for(served, path, without={loader.pid, *(one.pid for one in workers)})
    check()
    assert served.stop() == 0
