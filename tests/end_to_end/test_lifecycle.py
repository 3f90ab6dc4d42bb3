"""How `firstsight serve` with several workers starts, and how it ends."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from export.contract.bundle import BundleLayout
from tests.end_to_end.processes import Served, free_port, recalled
from tests.tiny import tiny_bundle


def test_a_service_that_is_told_to_leave_keeps_a_snapshot_of_what_was_posted(
    tmp_path: Path,
) -> None:
    bundle = tiny_bundle(tmp_path / "bundles")
    for number, told in enumerate((signal.SIGTERM, signal.SIGINT), start=1):
        served = Served(tmp_path / "data", bundle, "--workers", "2")
        try:
            status, posted = served.ask("POST", "/items", {"id": f"n{number}", "topics": ["art"]})
            assert status == 201
            assert recalled(served, f"n{number}", after=posted["log_id"])
            served.process.send_signal(told)
            assert served.process.wait(timeout=30) == 0
        finally:
            served.kill()
        snapshots = sorted((tmp_path / "data" / "snapshots" / "fs" / "tiny-1").iterdir())
        assert len(snapshots) == number


def test_a_bundle_that_cannot_be_served_is_one_line_and_exit_3_with_several_workers(
    tmp_path: Path,
) -> None:
    bundle = tiny_bundle(tmp_path / "bundles")
    BundleLayout(bundle).tower("user").write_bytes(b"")
    environ = {name: v for name, v in os.environ.items() if not name.startswith("FIRSTSIGHT_")}
    environ["FIRSTSIGHT_DATA_FOLDER"] = str(tmp_path / "data")
    words = ["serve", "--bundle", str(bundle), "--workers", "3", "--port", str(free_port())]
    done = subprocess.run(
        [sys.executable, "-m", "firstsight", *words], env=environ, capture_output=True, text=True
    )
    assert done.returncode == 3
    assert "Traceback" not in done.stderr
    told = [line for line in done.stderr.splitlines() if line.startswith("firstsight: ")]
    assert len(told) == 1
    assert "user_tower.onnx has changed" in told[0]


def counted(served: Served) -> float:
    """Return how many recalls were answered, as the metrics tell."""
    found = re.search(
        r'^firstsight_requests_total\{route="/recall",status="200"\} (.*)$',
        served.read("/metrics"),
        re.MULTILINE,
    )
    return float(found[1]) if found else 0.0


def workers_of(served: Served) -> list[psutil.Process]:
    """Return the processes that the loader forked."""
    top = psutil.Process(served.process.pid)
    return [one for child in top.children() for one in child.children()]


def test_counters_never_go_down_and_files_do_not_gather_through_deaths_and_a_handover(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "metrics"
    folder.mkdir()
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(folder))
    served = Served(tmp_path / "data", tiny_bundle(tmp_path / "bundles"), "--workers", "2")
    try:
        last = 0.0
        for death in range(6):
            for _ in range(20):
                assert served.ask("GET", "/recall?user_id=u")[0] == 200
            assert counted(served) >= last + 20
            last = counted(served)
            before = {one.pid for one in workers_of(served)}
            if death == 3:
                served.process.send_signal(signal.SIGHUP)
                gone = before
            else:
                gone = {min(before)}
                os.kill(min(before), signal.SIGKILL)
            until_s = time.monotonic() + 30
            while gone & {one.pid for one in workers_of(served)} or len(workers_of(served)) != 2:
                assert counted(served) >= last
                assert time.monotonic() < until_s
            assert counted(served) >= last
        alive = {str(one.pid) for one in served.family()}
        left = {path.stem.rpartition("_")[2] for path in folder.glob("*.db")}
        assert len(left - alive - {"folded"}) <= 1  # the loader that was replaced
        assert {"counter_folded.db", "histogram_folded.db"} <= {p.name for p in folder.iterdir()}
    finally:
        served.kill()
