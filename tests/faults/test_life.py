"""The whole life of items and versions on two replicas equals an oracle of dicts and numpy.

A hundred operations by default; `OPERATIONS=10000` in the environment makes so many.
"""

import asyncio
import os
import shutil
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar
from urllib.parse import quote

import numpy as np
import pytest
import redis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from export.contract.bundle import BundleLayout
from export.contract.schema import read_schema
from export.embedder import Embedder
from service.commands.lone_replica import write_snapshot
from service.duties import reconcile as reconcile_module
from service.duties.watch import follow_pointer
from service.processes import worker
from service.rollout import rollout
from service.rollout.pointer import PointerRefused, version_for
from service.rollout.pointer_store import read_pointer
from service.settings import Settings
from service.snapshot.duty import SnapshotDuty
from tests.service.oracle import Features, Oracle
from tests.service.processes.test_worker import Listening
from tests.service.running import Service, patient
from tests.service.test_two_schemas import richer
from tests.tiny import TOPICS, tiny_bundle

OPERATIONS = int(os.environ.get("OPERATIONS", "100"))
STEPS = 40
"""Operations between two empty stores."""
CLOSE = 2e-6
"""A vector of a batch differs from that of one record in the last bits."""
VERSIONS = ("v1", "v2", "v3")

items = st.sampled_from([*(f"i{n}" for n in range(4)), *(f"x{n}" for n in range(5)), "é/%,🎬"])
topics = st.none() | st.lists(st.sampled_from(TOPICS), unique=True, max_size=3)
numbers = st.none() | st.integers(0, 30)
features = st.fixed_dictionaries(
    {}, optional={"topics": topics, "length": numbers, "clicks": numbers, "preference": st.none()}
)
names = st.sampled_from(["a", "b"])
users = st.sampled_from([f"u{n}" for n in range(12)])


class Life(RuleBasedStateMachine):
    """Each rule is done by one of two replicas and by the oracle; recalls are held against it."""

    url: ClassVar[str]
    folder: ClassVar[Path]
    embedders: ClassVar[dict[str, Embedder]]
    operations: ClassVar[int] = 0

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.serving: dict[str, ExitStack] = {}
        self.services: dict[str, Service] = {}
        self.oracles = {version: Oracle(embedder) for version, embedder in self.embedders.items()}
        self.last = "0-0"

    @property
    def there(self) -> dict[str, Features]:
        return self.oracles["v1"].items

    @initialize()
    def begin(self) -> None:
        self.client = self.stack.enter_context(redis.Redis.from_url(self.url))
        self.client.flushall()
        self.data = Path(self.stack.enter_context(TemporaryDirectory()))
        for name in ("a", "b"):
            self.start(name)

    def settings_of(self, name: str) -> Settings:
        told = {
            "snapshots_kept": 2,
            "data_folder": self.data / name,
            "reconcile_s": 0.3,
            "bundles": self.folder,
            "bundle": self.folder / "v1",
            "after_wait_ms": 20_000,
        }
        return patient(self.url).model_copy(update=told)

    def start(self, name: str) -> None:
        """Start a replica as loader and worker do."""
        options = self.settings_of(name)
        loaded = worker.load(options)
        assert loaded is not None
        assert not loaded.refused
        self.serving[name] = ExitStack()
        service = Service(options, loaded, Listening())
        self.services[name] = self.serving[name].enter_context(service)

    def stop(self, name: str) -> None:
        del self.services[name]
        self.serving.pop(name).close()

    def teardown(self) -> None:
        with self.stack:
            try:
                if self.services:
                    self.check_convergence()
            finally:
                for serving in self.serving.values():
                    serving.close()

    def ask(self, name: str, method: str, path: str, body: object = None) -> Any:
        type(self).operations += 1
        return self.services[name].ask(method, path, json=body)

    # Items

    @rule(name=names, one=items, given=features)
    def post(self, name: str, one: str, given: Features) -> None:
        answer = self.ask(name, "POST", "/items", {"id": one, **given})
        # A replica that has not yet heard of an item says 201 or 200 by what Redis had.
        assert answer.status_code == (200 if one in self.there else 201), answer.text
        for oracle in self.oracles.values():
            oracle.post(one, given)
        self.check_written(answer.json(), one)

    @rule(name=names, one=items, given=features)
    def patch(self, name: str, one: str, given: Features) -> None:
        answer = self.ask(name, "PATCH", f"/items/{quote(one, safe='')}", given)
        if one not in self.there:
            assert answer.status_code == 404
            return
        assert answer.status_code == 200, answer.text
        for oracle in self.oracles.values():
            oracle.patch(one, given)
        self.check_written(answer.json(), one)

    @rule(name=names, one=items)
    def delete(self, name: str, one: str) -> None:
        answer = self.ask(name, "DELETE", f"/items/{quote(one, safe='')}")
        assert answer.status_code == 204
        for oracle in self.oracles.values():
            oracle.delete(one)
        self.last = answer.headers["x-log-id"]

    def check_written(self, told: Features, one: str) -> None:
        assert told["searchable"]
        self.last = told["log_id"]
        oracle = self.oracles[told["version"]]
        expected = oracle.vector("item", oracle.items[one])
        np.testing.assert_allclose(told["vector"], expected, atol=CLOSE)

    # Recalls

    @rule(name=names, user=users, topic=st.sampled_from(TOPICS), k=st.sampled_from([1, 5, 60]))
    def recall(self, name: str, user: str, topic: str, k: int) -> None:
        asked = {"user_id": user, "user": {"taste": {topic: 1}}, "k": k, "after": self.last}
        told = self.ask(name, "POST", "/recall", asked).json()
        assert told["degraded"] == []
        self.check_recall(name, user, told, {"taste": {topic: 1}}, k)

    def check_recall(self, name: str, user: str, told: Features, record: Features, k: int) -> None:
        serving = self.services[name].parts.serving
        assert serving is not None
        assert told["version"] == version_for(serving.pointer, user)
        oracle = self.oracles[told["version"]]
        scores = oracle.scores(oracle.vector("user", record), ())
        best = sorted(scores.values(), reverse=True)[:k]
        np.testing.assert_allclose(told["scores"], best, atol=CLOSE)
        own = [scores[one] for one in told["items"]]  # and none that is not there
        np.testing.assert_allclose(own, told["scores"], atol=CLOSE)
        assert len(set(told["items"])) == len(told["items"])

    # Versions

    @rule(version=st.sampled_from(VERSIONS), share=st.sampled_from([0.3, 0.7, 1.0]))
    def activate(self, version: str, share: float) -> None:
        options = self.settings_of("a")
        before = read_pointer(options)
        assert before is not None
        try:
            rollout.activate(options, version, share)
        except PointerRefused:
            assert version == before.current
        self.follow()

    @rule()
    def rollback(self) -> None:
        options = self.settings_of("a")
        before = read_pointer(options)
        assert before is not None
        try:
            rollout.rollback(options)
        except PointerRefused:
            assert before.candidate is None
            assert before.previous is None
        self.follow()

    def follow(self) -> None:
        """Have both replicas follow the pointer, by a handover where they ask for one."""
        type(self).operations += 1
        pointer = read_pointer(self.settings_of("a"))
        assert pointer is not None
        for name in ("a", "b"):
            control = self.services[name].control
            assert isinstance(control, Listening)
            control.asked.clear()
            follow_pointer(self.services[name].parts, pointer)
            if control.asked:
                self.stop(name)
                self.start(name)
            serving = self.services[name].parts.serving
            assert serving is not None
            assert serving.pointer == pointer

    # Processes

    @rule(name=names)
    def hand_over(self, name: str) -> None:
        """End with a snapshot; start with a main index of all there is."""
        type(self).operations += 1
        self.stop(name)
        self.start(name)
        serving = self.services[name].parts.serving
        assert serving is not None
        for cases in serving.all:
            cases.generation.compact(threads=1)

    @rule(name=names, forgets=st.booleans())
    def kill(self, name: str, forgets: bool) -> None:
        """End as a killed process does: without a last snapshot; its disk stays, or is empty.

        Replicas live in this process, and so does what would be killed with them; workers that are
        killed indeed are those of `test_snapshot_kill`.
        """
        type(self).operations += 1

        async def nothing(_: SnapshotDuty) -> None:
            """Neither write nor trim the log."""

        with pytest.MonkeyPatch.context() as killed:
            killed.setattr(SnapshotDuty, "attempt", nothing)
            self.stop(name)
        if forgets:
            shutil.rmtree(self.data / name, ignore_errors=True)
        self.start(name)

    @rule(name=names)
    def snapshot(self, name: str) -> None:
        type(self).operations += 1
        write_snapshot(self.settings_of(name))

    # The store

    @rule(kept=st.integers(0, 3))
    def trim(self, kept: int) -> None:
        """Take entries out of the log, whoever needs them."""
        self.client.xtrim("{fs}:log", maxlen=kept, approximate=False)

    @precondition(lambda self: self.services)
    @rule()
    def lose_the_log(self) -> None:
        """Remove the log, once both have all: nobody can tell later how far it went."""
        self.check_convergence()
        self.client.delete("{fs}:log")
        self.last = "0-0"

    @precondition(lambda self: self.services)
    @rule()
    def lose_everything(self) -> None:
        """Empty Redis, once both have all; they give it back its items and its pointer."""
        self.check_convergence()
        before = self.checksums()
        changes = len(self.client.zrange("{fs}:items", 0, -1))
        pointer = read_pointer(self.settings_of("a"))
        self.client.flushall()
        for name in ("a", "b"):
            follow_pointer(self.services[name].parts, read_pointer(self.settings_of(name)))
        self.until(lambda: self.client.zcard("{fs}:items") == changes, lambda: changes)
        self.until(lambda: self.checksums() == before, self.checksums)
        assert read_pointer(self.settings_of("a")) == pointer

    def until(self, claim: Callable[[], bool], told: Callable[[], object]) -> None:
        """Let both replicas work until something is so."""
        give_up_s = time.monotonic() + 60
        while not claim():
            assert time.monotonic() < give_up_s, told()
            for service in self.services.values():
                service.do(asyncio.sleep(0.02))

    def checksums(self) -> set[str]:
        """Return the checksums of every version on both replicas, once they are let work."""
        found = set()
        for service in self.services.values():
            ready = service.get("/readyz").json()
            found.add(ready["checksum"])
            if ready["candidate"]:
                found.add(ready["candidate"]["checksum"])
        return found

    def check_convergence(self) -> None:
        """Wait until both have the same; then everything there is must be found on both."""
        self.until(lambda: len(self.checksums()) == 1, self.checksums)
        for name in ("a", "b"):
            for user in ("u1", "u2", "u3", "u4"):
                body = {"user_id": user, "user": {"age": 30}, "k": 1000, "after": self.last}
                told = self.ask(name, "POST", "/recall", body).json()
                assert set(told["items"]) == set(self.there)
                self.check_recall(name, user, told, {"age": 30}, 1000)


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three versions; the items of the last two have features more, so other vectors."""
    folder = tmp_path_factory.mktemp("versions")
    tiny_bundle(folder, "v1")
    for version in ("v2", "v3"):
        tiny_bundle(folder, version, schema=richer())
    return folder


@pytest.mark.usefixtures("logging_as_it_was")
def test_two_replicas_equal_a_dict_and_numpy_whatever_happens(
    redis_url: str, bundles: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconcile_module, "LOOK_S", 0.02)
    opened = {}
    for version in VERSIONS:
        layout = BundleLayout(bundles / version)
        opened[version] = Embedder.open(layout, read_schema(layout.schema))
    monkeypatch.setattr(Life, "url", redis_url, raising=False)
    monkeypatch.setattr(Life, "folder", bundles, raising=False)
    monkeypatch.setattr(Life, "embedders", opened, raising=False)
    monkeypatch.setattr(Life, "operations", 0)
    runs = settings(
        max_examples=max(1, OPERATIONS // STEPS),
        stateful_step_count=STEPS,
        suppress_health_check=list(HealthCheck),
        deadline=None,
    )
    while Life.operations < OPERATIONS:
        run_state_machine_as_test(Life, settings=runs)
