import argparse
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.peers.__main__ import Ready, measure
from benchmarks.recall_http.services import Service


def test_a_small_round_asks_who_can_run_and_tells_who_cannot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    asked = argparse.Namespace(
        items=300, seconds=0.3, rounds=1, peers="faiss,redis-q8", work=tmp_path
    )
    found = measure(asked)
    assert len(found["ratios"]) == 4
    [seen] = found["rounds"]
    assert seen.keys() == {"ours c=8", "faiss c=8", "ours c=32", "faiss c=32"}
    assert all(one["cpu_us"] > 0 and one["redis_cpu_us"] > 0 for one in seen.values())
    assert found["peers"]["faiss"]["recall"] >= found["peers"]["ours"]["recall"] - 0.005
    assert found["peers"]["redis-q8"].startswith("not run: no redis-server with vector sets")


def test_the_cpu_of_a_process_is_counted_once_though_a_service_has_started_its_helper() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as helper:
        ready = Ready(Service(port=1, top=os.getpid()), (helper.pid,), {})
        assert ready.processes.count(helper.pid) == 1
        helper.kill()
