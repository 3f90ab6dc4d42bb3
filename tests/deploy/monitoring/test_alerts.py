"""What goes wrong with real services makes the alerts of a real Prometheus fire, and clear."""

import contextlib
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest
import redis
from pydantic import SecretStr

from export.contract.bundle import BundleLayout
from service.follower import WAIT_S
from service.rollout.pointer import first_pointer
from service.rollout.pointer_store import restore_pointer
from service.settings import Settings
from tests.deploy.monitoring.prometheus import Prometheus
from tests.deploy.monitoring.rules import alerts
from tests.end_to_end.processes import Served
from tests.service.conftest import start_redis
from tests.tiny import tiny_bundle

NEVER = "99999999999999-0"
"""An entry of the log that does not come, and so is waited for."""

OTHERWISE = {"FirstsightRecallBelowTarget", "FirstsightGrowthBlocked"}
"""Not caused here: an index that finds too little is refused, and 20,000 items take too long."""

Request = tuple[str, str, object]
OwnRedis = tuple["subprocess.Popen[bytes]", str]

pytestmark = pytest.mark.skipif(
    shutil.which("prometheus") is None, reason="prometheus is not installed (Debian: prometheus)"
)


@pytest.fixture
def forgetful(tmp_path: Path) -> Iterator[OwnRedis]:
    """A Redis that keeps nothing on disk."""
    process, url = start_redis(tmp_path)
    yield process, url
    process.kill()
    process.wait()


@contextmanager
def asking(served: Served, *requests: Request) -> Iterator[None]:
    """Send these requests in turn, meanwhile."""
    is_over = threading.Event()

    def run() -> None:
        while not is_over.is_set():
            for method, path, body in requests:
                with contextlib.suppress(OSError):
                    served.ask(method, path, body)
            time.sleep(0.02)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


@contextmanager
def served(folder: Path, bundle: Path, url: str) -> Iterator[Served]:
    """A replica; what its disk refuses is found soon."""
    started = Served(folder, bundle, "--redis", url, snapshot_s=0.2)
    try:
        yield started
    finally:
        started.kill()


def test_what_goes_wrong_fires_its_alert_and_what_is_well_again_clears_it(
    tmp_path: Path, forgetful: OwnRedis
) -> None:
    store, url = forgetful
    for replica in "ab":
        tiny_bundle(tmp_path / replica)
        tiny_bundle(tmp_path / replica, "tiny-2")
    BundleLayout(tmp_path / "b" / "tiny-2").tower("user").write_bytes(b"")
    pointer = first_pointer("tiny-1").activated("tiny-2", share=0.9)
    restore_pointer(Settings(redis=SecretStr(url)), pointer)
    seen = set[str]()

    with ExitStack() as stack:
        prometheus = stack.enter_context(closing(Prometheus(tmp_path)))
        client = stack.enter_context(redis.Redis.from_url(url))
        a = stack.enter_context(served(tmp_path / "data-a", tmp_path / "a" / "tiny-1", url))
        b = stack.enter_context(served(tmp_path / "data-b", tmp_path / "b" / "tiny-1", url))

        def fires(*names: str) -> None:
            prometheus.wait_for(*(f"Firstsight{name}" for name in names))
            seen.update(f"Firstsight{name}" for name in names)

        def clears(*names: str) -> None:
            prometheus.wait_without(*(f"Firstsight{name}" for name in names))

        fires("NoReplicaReady")
        prometheus.ask_of(a.port, b.port)
        clears("NoReplicaReady")

        # A Redis that keeps nothing, a disk that refuses, a version that one replica cannot serve.
        (tmp_path / "data-b" / "snapshots").rename(tmp_path / "data-b" / "away")
        (tmp_path / "data-b" / "snapshots").write_text("a file in the way")
        assert a.ask("POST", "/items", {"id": "new", "topics": ["art"]})[0] == 201
        fires("NothingDurable", "SnapshotsFail", "BundleRefused", "VersionsDiffer")
        assert a.ask("POST", "/bundles/rollback")[0] == 200
        (tmp_path / "data-b" / "snapshots").unlink()
        (tmp_path / "data-b" / "away").rename(tmp_path / "data-b" / "snapshots")
        for name, value in (("appendonly", "yes"), ("appendfsync", "always")):
            client.config_set(name, value)
        clears("NothingDurable", "BundleRefused", "VersionsDiffer")

        # A Redis that hangs.
        store.send_signal(signal.SIGSTOP)
        reads: Request = ("GET", "/recall?user_id=u", None)
        with asking(a, reads, ("POST", "/items", {"id": "lost"})):
            fires("BreakerOpen", "Degraded", "Errors")
        store.send_signal(signal.SIGCONT)
        clears("BreakerOpen", "Degraded", "Errors")

        # A log that cannot be read: what one replica takes the other does not find.
        client.execute_command("ACL SETUSER default -xread")
        time.sleep(2 * WAIT_S)  # a read that was let in waits for so long, and would be answered
        assert a.ask("POST", "/items", {"id": "newer", "topics": ["art"]})[0] == 201
        waits: Request = ("POST", "/recall", {"user_id": "u", "after": NEVER})
        with asking(b, waits):
            fires("LogLag", "Slow", "ReplicasDiffer")
        client.execute_command("ACL SETUSER default +xread")
        clears(*(alert.name.removeprefix("Firstsight") for alert in alerts()))
    assert seen == {alert.name for alert in alerts()} - OTHERWISE
