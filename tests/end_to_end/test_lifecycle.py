"""How `firstsight serve` with several workers starts, and how it ends."""

import os
import signal
import subprocess
import sys
from pathlib import Path

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
