"""What goes wrong with real services makes the alerts of a real Prometheus fire, and clear."""

import contextlib
import json
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import numpy as np
import pytest
import redis
from pydantic import SecretStr

from export.contract.bundle import BundleLayout
from export.index.hnsw import HnswConfig
from service.follower import WAIT_S
from service.keys.key import new_key
from service.rollout.pointer import first_pointer
from service.rollout.pointer_store import restore_pointer
from service.settings import Settings
from tests.deploy.monitoring import little_room
from tests.deploy.monitoring.little_room import WANTS_HANDOVER
from tests.deploy.monitoring.prometheus import Prometheus
from tests.deploy.monitoring.rules import alerts
from tests.end_to_end.processes import Served
from tests.export.forged import sign
from tests.service.conftest import start_redis
from tests.service.store.servers import eventually
from tests.tiny import tiny_bundle

NEVER = "99999999999999-0"
"""An entry of the log that does not come, and so is waited for."""

OF_AN_INDEX = {"FirstsightRecallBelowTarget", "FirstsightGrowthBlocked"}
"""Those of one replica whose index finds too little and cannot grow; both are caused at once."""
OF_ONE_REPLICA = {"FirstsightReplicaNotReady", "FirstsightKeysRefused"}
"""Those of replicas that leave, die and come back, one of them with a file of keys."""

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
    assert seen == {alert.name for alert in alerts()} - OF_AN_INDEX - OF_ONE_REPLICA


def test_replicas_that_leave_die_or_cannot_read_their_keys_fire_until_they_are_back(
    tmp_path: Path,
) -> None:
    bundle = tiny_bundle(tmp_path / "bundles")
    keys = tmp_path / "keys"
    _, line = new_key("shop", "recall")
    keys.write_text(f"{line}\n")
    none, one = "FirstsightNoReplicaReady", "FirstsightReplicaNotReady"

    with ExitStack() as stack:

        def start(name: str, **settings: object) -> Served:
            replica = Served(tmp_path / name, bundle, readiness_off_s=60, **settings)
            stack.callback(replica.kill)
            return replica

        a, b = start("a", keys_file=keys), start("b")
        prometheus = stack.enter_context(closing(Prometheus(tmp_path)))
        prometheus.ask_of(a.port, b.port)
        prometheus.wait_without(none)

        keys.write_text("half a line")
        b.process.terminate()  # it serves on for a minute, and is not ready
        prometheus.wait_for(one, "FirstsightKeysRefused")
        assert none not in prometheus.firing()
        keys.write_text(f"{line}\n")
        a.process.terminate()
        prometheus.wait_for(none)
        prometheus.wait_without(one, "FirstsightKeysRefused")

        a.kill()
        b.kill()
        start("a", port=a.port)
        prometheus.wait_for(one)  # of b, which nobody can ask
        prometheus.wait_without(none)
        start("b", port=b.port)
        prometheus.wait_without(one)


class LittleRoom(Served):
    program = little_room.NAME


def poor_bundle(folder: Path) -> Path:
    """Write a bundle whose index knows half of the vectors, and whose manifest asks for no more."""
    bundle = tiny_bundle(folder, "poor-1", items=2100)
    layout = BundleLayout(bundle)
    vectors = np.load(layout.vectors)
    vectors[::2] *= -1
    report = json.loads(layout.manifest.read_bytes())["index"]
    HnswConfig(**report["settings"]).build(vectors).save(layout.index)
    sign(bundle, index=report | {"target_recall": 0.1})
    return bundle


def recent(served: Served) -> float:
    [line] = [
        line
        for line in served.read("/metrics").splitlines()
        if line.startswith('firstsight_index_items{part="recent"')
    ]
    return float(line.rpartition(" ")[2])


def test_an_index_that_finds_too_little_and_cannot_grow_fires_and_a_good_version_clears(
    tmp_path: Path, forgetful: OwnRedis
) -> None:
    poor = poor_bundle(tmp_path / "bundles")
    tiny_bundle(tmp_path / "bundles", "good-2", items=2100)
    monitored = {"monitor_share": 1.0, "monitor_per_s": 1000.0}

    with ExitStack() as stack:
        prometheus = stack.enter_context(closing(Prometheus(tmp_path)))
        replica = LittleRoom(tmp_path / "data", poor, "--redis", forgetful[1], **monitored)
        stack.callback(replica.kill)
        prometheus.ask_of(replica.port)

        def post(prefix: str) -> None:
            items = [{"id": f"{prefix}{n}", "topics": ["music"]} for n in range(WANTS_HANDOVER + 1)]
            assert replica.ask("POST", "/items", {"items": items})[0] == 200

        # It wants a handover, which fails, and more is posted than there is room for without one.
        tower = BundleLayout(poor).tower("user")
        tower.unlink()
        tower.write_bytes(b"")
        post("a")
        eventually(lambda: recent(replica) > WANTS_HANDOVER)
        post("b")
        users = [{"age": 20 + n, "taste": {"art": 1, "food": 1 + n % 5}} for n in range(20)]
        with asking(replica, *(("POST", "/recall", {"user": user, "k": 10}) for user in users)):
            prometheus.wait_for(*OF_AN_INDEX)
            assert replica.ask("POST", "/bundles/good-2/activate")[0] == 200
            prometheus.wait_without(*OF_AN_INDEX)
