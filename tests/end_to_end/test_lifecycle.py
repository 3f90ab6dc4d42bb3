"""How `firstsight serve` with several workers starts, and how it ends."""

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from export.contract.bundle import BundleLayout
from tests.end_to_end.processes import Served, free_port, recalled
from tests.service.store.servers import Server, eventually, running
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


def test_workers_that_are_replaced_leave_the_snapshot_to_those_who_serve_on(tmp_path: Path) -> None:
    served = Served(tmp_path / "data", tiny_bundle(tmp_path / "bundles"))
    folder = tmp_path / "data" / "snapshots" / "fs" / "tiny-1"
    try:
        for expected in ([], ["00000001"], ["00000001"]):  # there was none at the first
            assert sorted(path.name for path in folder.glob("*")) == expected
            assert served.ask("POST", "/items", {"id": "n", "topics": ["art"]})[0] in (200, 201)
            before = served.workers()
            served.process.send_signal(signal.SIGHUP)
            psutil.wait_procs(before, timeout=30)
            assert not [one for one in before if one.is_running()]
        assert served.stop() == 0
        assert sorted(path.name for path in folder.glob("*")) == ["00000001", "00000002"]
    finally:
        served.kill()


Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start the command with two workers and options, settings as names; killed at the end."""
    made: list[subprocess.Popen[str]] = []

    def started(*options: object, **settings: object) -> "subprocess.Popen[str]":
        environ = {name: v for name, v in os.environ.items() if not name.startswith("FIRSTSIGHT_")}
        environ["FIRSTSIGHT_DATA_FOLDER"] = str(tmp_path / "data")
        environ["FIRSTSIGHT_BUNDLES"] = str(tmp_path / "bundles")
        environ |= {f"FIRSTSIGHT_{name.upper()}": str(value) for name, value in settings.items()}
        words = [sys.executable, "-m", "firstsight", "serve", "--workers", "2"]
        process = subprocess.Popen(
            [*words, *map(str, options)],
            env=environ,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        made.append(process)
        return process

    yield started
    for one in made:
        one.kill()  # which takes the others with it
        one.communicate()


def refusal(process: "subprocess.Popen[str]") -> tuple[int, str]:
    """Return the exit code, and the one line that says why; the rest are lines of the log."""
    _, said = process.communicate(timeout=60)
    lines = said.splitlines()
    assert "Traceback" not in said
    assert all(json.loads(line) for line in lines[:-1])
    assert lines[-1].startswith("firstsight: ")
    return process.returncode, lines[-1].removeprefix("firstsight: ")


def test_a_port_that_is_taken_is_one_line_and_exit_3(tmp_path: Path, start: Start) -> None:
    bundle = tiny_bundle(tmp_path / "bundles")
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        code, line = refusal(start("--bundle", bundle, "--port", port))
    why = f"cannot listen on 127.0.0.1:{port}: Address already in use"
    assert (code, line) == (3, f"{why}; choose another with --port")
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("options", "settings", "line"),
    [
        ((), {"prot": 1}, "FIRSTSIGHT_PROT: there is no such setting"),
        ((), {"k": "many"}, "FIRSTSIGHT_K: "),
        ((), {"admin_token": "short"}, "FIRSTSIGHT_ADMIN_TOKEN: got 5 characters, expected"),
        ((), {"redis": "localhost"}, "FIRSTSIGHT_REDIS: expected a URL that begins with"),
        (("--port", "x"), {}, "Invalid value for '--port'"),
        (("--bundle", "/nowhere"), {}, "/nowhere: no bundle here (manifest.json is missing)"),
    ],
)
def test_a_mistake_in_settings_is_one_line_and_exit_2_and_starts_nothing(
    tmp_path: Path,
    start: Start,
    options: tuple[str, ...],
    settings: dict[str, object],
    line: str,
) -> None:
    code, said = refusal(start(*options, **settings))
    assert (code, said[: len(line)]) == (2, line)
    assert not (tmp_path / "data").exists()


def test_a_bundle_that_cannot_be_served_is_one_line_and_exit_3(
    tmp_path: Path, start: Start
) -> None:
    bundle = tiny_bundle(tmp_path / "bundles")
    BundleLayout(bundle).tower("user").write_bytes(b"")
    code, line = refusal(start("--bundle", bundle, "--port", free_port()))
    assert code == 3
    assert "user_tower.onnx has changed" in line


def test_an_active_version_is_served_though_the_bundle_to_begin_with_is_gone(
    tmp_path: Path,
) -> None:
    bundle = tiny_bundle(tmp_path / "bundles")
    for offered in (bundle, tmp_path / "gone"):
        served = Served(tmp_path / "data", offered, bundles=bundle.parent)
        try:
            assert served.ask("GET", "/version")[1]["version"] == "tiny-1"
        finally:
            served.kill()


def test_without_an_active_version_a_bundle_that_is_gone_is_one_line_and_exit_3(
    tmp_path: Path, start: Start
) -> None:
    tiny_bundle(tmp_path / "bundles")
    code, line = refusal(start("--bundle", tmp_path / "gone", "--port", free_port()))
    assert code == 3
    assert "gone: no bundle here" in line


def test_a_data_folder_that_cannot_be_written_is_one_line_and_exit_3(
    tmp_path: Path, start: Start
) -> None:
    bundle = tiny_bundle(tmp_path / "bundles")
    (tmp_path / "file").touch()  # chmod would not hold an administrator
    folder = tmp_path / "file" / "data"
    code, line = refusal(start("--bundle", bundle, "--port", 0, data_folder=folder))
    assert code == 3
    assert line.startswith(f"data folder {folder}/redis: ")
    assert "Not a directory" in line


def test_a_data_folder_of_another_service_is_one_line_and_exit_3_and_leaves_that_alone(
    tmp_path: Path, start: Start
) -> None:
    bundle = tiny_bundle(tmp_path / "bundles")
    served = Served(tmp_path / "data", bundle)
    try:
        code, line = refusal(start("--bundle", bundle, "--port", 0))
        process = f"process {served.process.pid}"
        folder = tmp_path / "data" / "redis"
        assert (code, line) == (
            3,
            f"data folder {folder} is in use by another firstsight ({process})",
        )
        assert served.ask("POST", "/items", {"id": "x", "topics": ["art"]})[0] == 201
    finally:
        served.kill()


def test_a_redis_that_must_not_be_used_is_one_line_and_exit_3(tmp_path: Path, start: Start) -> None:
    bundle = tiny_bundle(tmp_path / "bundles")
    server = Server(tmp_path / "redis", "--maxmemory-policy", "allkeys-lru")

    def refused(url: str, **settings: object) -> str:
        code, line = refusal(start("--bundle", bundle, "--port", 0, "--redis", url, **settings))
        assert code == 3
        assert "hunter2" not in line
        return line

    with running(server):
        assert "evicts keys when memory is full (maxmemory-policy allkeys-lru)" in refused(
            server.url
        )
        server.do("CONFIG", "SET", "maxmemory-policy", "noeviction")
        rights = ["on", ">right", "~*", "+@all", "-wait"]
        server.do("ACL", "SETUSER", "firstsight", *rights)
        wrong = f"redis://firstsight:hunter2@{server.name}"
        assert f"redis at {server.name} does not let us in" in refused(wrong)
        right = f"redis://firstsight:right@{server.name}"
        assert "allow `+wait`" in refused(right, write_ack="replica")
        assert "is no cluster" in refused(f"redis+cluster://{server.name}")


def test_a_metrics_folder_that_cannot_be_made_is_one_line_and_exit_3(
    tmp_path: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = tiny_bundle(tmp_path / "bundles")
    (tmp_path / "file").touch()
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path / "file" / "metrics"))
    code, line = refusal(start("--bundle", bundle, "--port", 0))
    assert code == 3
    assert line.startswith("PROMETHEUS_MULTIPROC_DIR: ")


def readiness(port: int) -> tuple[int, str, str | None]:
    """Return status, state and what is waited for."""
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        line.request("GET", "/readyz")
        answer = line.getresponse()
        told = json.loads(answer.read())
        return answer.status, told["state"], told["waiting_for"]
    finally:
        line.close()


def listens(port: int) -> bool:
    with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False


def test_a_service_without_a_bundle_is_loading_until_it_has_one(
    tmp_path: Path, start: Start
) -> None:
    port = free_port()
    start("--port", port)
    eventually(lambda: listens(port))
    assert readiness(port) == (503, "loading", "bundle")


def test_a_service_whose_redis_comes_late_is_degraded_then_replaying_then_ready(
    tmp_path: Path, start: Start
) -> None:
    bundle = tiny_bundle(tmp_path / "bundles")
    server = Server(tmp_path / "redis", "--appendonly", "yes", "--appendfsync", "always")
    with running(server):
        served = Served(tmp_path / "first", bundle, "--redis", server.url)
        try:
            for lap in range(4):
                items = [{"id": f"x{lap}-{n}", "topics": ["art"]} for n in range(1000)]
                status, _ = served.ask("POST", "/items", {"items": items})
                assert status == 200
        finally:
            served.kill()
        server.kill()
        port = free_port()
        start("--bundle", bundle, "--port", port, "--redis", server.url)
        eventually(lambda: listens(port))
        assert readiness(port) == (200, "degraded", "store")
        before = server.port
        server.start()
        assert server.port == before
        told = [readiness(port)]
        until_s = time.monotonic() + 60
        while told[-1] != (200, "ready", None) or len(told) < 20:
            told.append(readiness(port))
            assert time.monotonic() < until_s, told
    assert (503, "replaying", "index") in told
    assert set(told) <= {
        (200, "degraded", "store"),
        (503, "replaying", "index"),
        (200, "ready", None),
    }


def test_sigterm_switches_readiness_off_serves_on_finishes_what_is_in_flight_and_exits_0(
    tmp_path: Path,
) -> None:
    bundle = tiny_bundle(tmp_path / "bundles")
    off_s = 1.5
    served = Served(tmp_path / "data", bundle, "--workers", "2", readiness_off_s=off_s)
    body = json.dumps({"user": {"taste": {"art": 1.0}}, "k": 5}).encode()
    flying = http.client.HTTPConnection("127.0.0.1", served.port, timeout=30)
    try:
        posted = served.ask("POST", "/items", {"id": "n", "topics": ["art"]})
        assert posted[0] == 201
        flying.putrequest("POST", "/recall")
        flying.putheader("Content-Type", "application/json")
        flying.putheader("Content-Length", str(len(body)))
        flying.endheaders(body[:10])
        begun_s = time.monotonic()
        served.process.terminate()
        eventually(lambda: readiness(served.port) == (503, "draining", None), within_s=off_s)
        while time.monotonic() - begun_s < off_s - 0.5:
            assert served.ask("GET", "/recall?user_id=u")[0] == 200
        eventually(lambda: not listens(served.port))
        assert time.monotonic() - begun_s >= off_s
        assert served.process.poll() is None
        flying.send(body[10:])
        answer = flying.getresponse()
        assert (answer.status, answer.headers["connection"]) == (200, "close"), answer.read()
        assert len(json.loads(answer.read())["items"]) == 5
        assert served.process.wait(timeout=30) == 0
    finally:
        flying.close()
        served.kill()
    assert list((tmp_path / "data" / "snapshots" / "fs" / "tiny-1").iterdir())


def test_a_second_signal_ends_it_at_once_with_exit_0(tmp_path: Path) -> None:
    served = Served(tmp_path / "data", tiny_bundle(tmp_path / "bundles"), readiness_off_s=60)
    try:
        served.process.terminate()
        eventually(lambda: readiness(served.port) == (503, "draining", None))
        begun_s = time.monotonic()
        served.process.terminate()
        assert served.process.wait(timeout=30) == 0
        assert time.monotonic() - begun_s < 10
    finally:
        served.kill()


def counted(served: Served) -> float:
    """Return how many recalls were answered, as the metrics tell."""
    found = re.search(
        r'^firstsight_requests_total\{route="/recall",status="200"\} (.*)$',
        served.read("/metrics"),
        re.MULTILINE,
    )
    return float(found[1]) if found else 0.0


def workers_of(served: Served) -> set[int]:
    """Return the processes that loaders forked."""
    return {one.pid for one in served.workers()}


def test_counters_never_go_down_and_files_do_not_gather_through_deaths_and_a_handover(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "metrics"
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(folder))
    served = Served(tmp_path / "data", tiny_bundle(tmp_path / "bundles"), "--workers", "2")
    try:
        last = 0.0
        for death in range(6):
            for _ in range(20):
                assert served.ask("GET", "/recall?user_id=u")[0] == 200
            assert counted(served) >= last + 20
            last = counted(served)
            before = workers_of(served)
            if death == 3:
                served.process.send_signal(signal.SIGHUP)
                gone = before
            else:
                gone = {min(before)}
                os.kill(min(before), signal.SIGKILL)
            until_s = time.monotonic() + 30
            while gone & workers_of(served) or len(workers_of(served)) != 2:
                assert counted(served) >= last
                assert time.monotonic() < until_s
            assert counted(served) >= last
        alive = {str(one.pid) for one in served.family()}
        left = {path.stem.rpartition("_")[2] for path in folder.glob("*.db")}
        assert len(left - alive - {"folded"}) <= 1  # the loader that was replaced
        assert {"counter_folded.db", "histogram_folded.db"} <= {p.name for p in folder.iterdir()}
    finally:
        served.kill()
