import argparse
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.peers.__main__ import Ready, measure
from benchmarks.recall_http.services import Service


def small(peers: str, work: Path) -> argparse.Namespace:
    return argparse.Namespace(items=300, seconds=0.2, rounds=1, peers=peers, work=work)


def test_a_small_round_asks_who_can_run_and_tells_who_cannot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    found = measure(small("faiss,redis-q8", tmp_path))
    assert len(found["ratios"]) == 4
    [seen] = found["rounds"]
    assert seen.keys() == {"ours c=8", "faiss c=8", "ours c=32", "faiss c=32"}
    assert all(one["cpu_us"] > 0 and one["redis_cpu_us"] > 0 for one in seen.values())
    assert found["peers"]["faiss"]["recall"] >= found["peers"]["ours"]["recall"] - 0.005
    assert found["peers"]["redis-q8"].startswith("not run: no redis-server with vector sets")


def test_a_peer_that_finds_too_little_is_told_and_the_others_are_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.peers.__main__.ALIKE", 1.1)  # more than anybody finds
    found = measure(small("faiss", tmp_path))
    assert re.fullmatch(
        r"not run: finds [01]\.\d+ of .*, expected 1\.1000", found["peers"]["faiss"]
    )
    assert found["rounds"][0].keys() == {"ours c=8", "ours c=32"}


def test_the_cpu_of_a_process_is_counted_once_though_a_service_has_started_its_helper() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as helper:
        ready = Ready(Service(port=1, top=os.getpid()), (helper.pid,), {})
        assert ready.processes.count(helper.pid) == 1
        helper.kill()
