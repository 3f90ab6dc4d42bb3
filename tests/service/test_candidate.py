"""Two versions in one process: each answers its users, and both have every item."""

import asyncio
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import redis

from export.contract.errors import SchemaError
from export.contract.schema import Schema
from export.contract.side import Record, SideName
from export.embedder import Vectors
from service.generation import Generation
from service.processes.loaded import Loaded
from service.rollout.pointer import Pointer, version_for
from service.snapshot import Snapshots, kept_in
from service.snapshot.folder import New
from service.store import LogId, Position, Store
from tests.service.running import Service, patient
from tests.service.snapshot.made import EPOCH, changed_generation, write_snapshot
from tests.service.test_two_schemas import richer
from tests.tiny import tiny_bundle

POINTER = Pointer(2, "old-1", "new-1", 0.5)
USERS = [f"u{n}" for n in range(64)]
OF = {
    version: [user for user in USERS if version_for(POINTER, user) == version]
    for version in ("old-1", "new-1")
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A version, and one whose items have a feature more: they have other vectors."""
    root = tmp_path_factory.mktemp("two")
    schema: Schema = richer()
    return tiny_bundle(root, "old-1"), tiny_bundle(root, "new-1", schema=schema, items=41)


@pytest.fixture
def service(redis_url: str, folders: tuple[Path, Path]) -> Iterator[Service]:
    generations = {folder.name: Generation.load(folder) for folder in folders}
    with Service(patient(redis_url), Loaded(POINTER, generations)) as service:
        yield service


def vector_of(service: Service, version: str, one: str) -> Any:
    assert service.parts.serving is not None
    [cases] = [cases for cases in service.parts.serving.all if cases.version == version]
    return cases.generation.vector(one)


def found(service: Service, user: str, **more: object) -> dict[str, Any]:
    body = {"user_id": user, "user": {"taste": {"art": 1}}, "k": 1000, **more}
    answer = service.post("/recall", body)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


def test_a_user_has_the_same_version_in_every_call(service: Service) -> None:
    assert min(map(len, OF.values())) > 16
    batch = [{"user_id": user, "k": 3} for user in USERS]
    results = service.post("/recall/batch", {"requests": batch}).json()["results"]
    for version, users in OF.items():
        for user in users:
            assert found(service, user)["version"] == version
            assert service.get(f"/recall?user_id={user}&k=1").json()["version"] == version
            assert results[USERS.index(user)]["version"] == version
    assert [one["user_id"] for one in results] == USERS
    assert service.post("/recall", {"k": 1}).json()["version"] == "old-1"


def test_each_answer_is_of_one_version(service: Service) -> None:
    old, new = (found(service, OF[version][0]) for version in ("old-1", "new-1"))
    assert len(old["items"]) == 40
    assert len(new["items"]) == 41
    assert "i40" in new["items"]


def test_a_bad_request_in_a_batch_of_two_versions_loses_no_other(service: Service) -> None:
    bodies = [{"user_id": OF["old-1"][0]}, {"k": 0}, {"user_id": OF["new-1"][0]}, 7]
    results = service.post("/recall/batch", {"requests": bodies}).json()["results"]
    assert [one["status"] for one in results] == [200, 422, 200, 422]
    assert [results[place]["version"] for place in (0, 2)] == ["old-1", "new-1"]


def test_what_is_posted_patched_and_removed_is_so_in_both_at_once(service: Service) -> None:
    users = [OF[version][0] for version in ("old-1", "new-1")]
    posted = service.post("/items", {"id": "x", "topics": ["art"]})
    assert (posted.status_code, posted.json()["searchable"]) == (201, True)
    assert posted.json()["version"] == "old-1"
    assert all("x" in found(service, user)["items"] for user in users)
    before = [vector_of(service, version, "x").tolist() for version in OF]
    assert before[0] != before[1]  # each by its own tower
    assert service.ask("PATCH", "/items/x", json={"topics": ["food"]}).status_code == 200
    after = [vector_of(service, version, "x").tolist() for version in OF]
    assert all(a != b for a, b in zip(after, before, strict=True))
    assert service.ask("DELETE", "/items/x").status_code == 204
    assert not any("x" in found(service, user)["items"] for user in users)


def test_a_batch_of_items_is_in_both(service: Service) -> None:
    items = [{"id": f"b{n}", "topics": ["art"]} for n in range(70)] + [{"id": "bad", "length": "x"}]
    results = service.post("/items?vector=false", {"items": items}).json()["results"]
    assert [one["status"] for one in results] == [201] * 70 + [422]
    for version in OF:
        served = set(found(service, OF[version][0])["items"])
        assert {f"b{n}" for n in range(70)} <= served


def test_a_write_beside_a_candidate_is_in_both_and_waits_for_nothing_more_though_redis_hangs(
    own_redis: "tuple[subprocess.Popen[bytes], str]",
    folders: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    process, url = own_redis
    real = Store.write_items

    async def hangs_then(self: Store, *args: Any) -> Any:
        written = await real(self, *args)
        process.send_signal(signal.SIGSTOP)
        return written

    monkeypatch.setattr(Store, "write_items", hangs_then)
    generations = {folder.name: Generation.load(folder) for folder in folders}
    with Service(patient(url), Loaded(POINTER, generations)) as service:
        for method, path, body in (
            ("POST", "/items", {"id": "x", "topics": ["art"]}),
            ("PATCH", "/items/i1", {"topics": ["food"]}),
            ("DELETE", "/items/i2", None),
        ):
            before_s = time.monotonic()
            answer = service.ask(method, path, json=body)
            took_s = time.monotonic() - before_s
            process.send_signal(signal.SIGCONT)
            assert answer.status_code in (200, 201, 204)
            assert took_s < 0.5
            if method != "DELETE":
                assert answer.json()["searchable"] is True
        for version in OF:
            assert vector_of(service, version, "x") is not None
            assert vector_of(service, version, "i2") is None


def test_what_the_candidate_takes_over_is_what_redis_holds(
    service: Service, redis_url: str, folders: tuple[Path, Path]
) -> None:
    full = {"id": "x", "topics": ["art"], "maker": "acme", "clicks": 2.0, "likes": 1.0}
    with Service(patient(redis_url), Generation.load(folders[1])) as richer_one:
        log_id = richer_one.post("/items", full).json()["log_id"]
    found(service, OF["old-1"][0], after=log_id)
    assert service.ask("PATCH", "/items/x", json={"length": 5}).status_code == 200
    assert service.ask("PATCH", "/items/i2", json={"clicks": 7}).status_code == 200
    assert service.post("/items", {"id": "y", "clicks": 3}).status_code == 201
    assert service.ask("DELETE", "/items/i3").status_code == 204
    assert service.parts.serving is not None
    candidate = service.parts.serving.candidate
    assert candidate is not None
    ids = ["x", "i2", "y", "i3"]
    stored = service.do(candidate.store.read_items(ids, "new-1"))
    assert [candidate.generation.change(one) for one in ids] == [one.record for one in stored]
    served = candidate.generation.get("x")
    assert served is not None
    assert served.record == {n: v for n, v in full.items() if n != "id"} | {"length": 5.0}


def test_a_vector_that_was_made_beside_the_answer_is_kept_for_other_replicas(
    service: Service, redis_client: redis.Redis
) -> None:
    posted = service.post("/items", {"id": "x", "topics": ["art"]}).json()
    for user in (OF["old-1"][0], OF["new-1"][0]):
        found(service, user, after=posted["log_id"])
    give_up_s = time.monotonic() + 10
    while not redis_client.exists("{fs}:vec:new-1:x"):
        assert time.monotonic() < give_up_s, "it was not kept"
        service.do(asyncio.sleep(0.01))
    assert redis_client.exists("{fs}:vec:old-1:x")


def test_what_the_candidate_has_no_vector_for_is_said_of_that_item_alone(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert service.parts.serving is not None
    candidate = service.parts.serving.candidate
    assert candidate is not None
    embedder = candidate.intake._embedder
    real = embedder.embed

    def overflows(side: SideName, records: Sequence[Record]) -> Vectors:
        if any(record.get("clicks") == 3e38 for record in records):  # no tiny tower is that steep
            raise SchemaError("the item tower gave a vector that is not of unit length")
        return real(side, records)

    monkeypatch.setattr(embedder, "embed", overflows)
    items = [{"id": "a"}, {"id": "i1", "clicks": 3e38}, {"id": "b"}]
    results = service.post("/items", {"items": items}).json()["results"]
    assert [one["status"] for one in results] == [201, 200, 201]
    assert [one["searchable"] for one in results] == [True, False, True]
    patched = service.ask("PATCH", "/items/i1", json={"length": 2})
    assert (patched.status_code, patched.json()["searchable"]) == (200, False)
    assert service.ask("DELETE", "/items/i1").status_code == 204
    assert vector_of(service, "new-1", "i1") is None


def test_readiness_and_version_tell_of_both(service: Service) -> None:
    ready = service.get("/readyz").json()
    assert (ready["state"], ready["version"], ready["refused"]) == ("ready", "old-1", None)
    candidate = ready["candidate"]
    assert (candidate["version"], candidate["share"]) == ("new-1", 0.5)
    assert candidate["checksum"] == ready["checksum"]
    told = service.get("/version").json()
    assert (told["version"], told["candidate"]) == ("old-1", {"version": "new-1", "share": 0.5})


def test_what_was_posted_before_the_start_is_in_both(
    redis_url: str, folders: tuple[Path, Path], redis_client: redis.Redis
) -> None:
    with Service(patient(redis_url), Generation.load(folders[0])) as alone:
        assert alone.post("/items", {"id": "x", "topics": ["art"]}).status_code == 201
        assert alone.ask("DELETE", "/items/i0").status_code == 204
    generations = {folder.name: Generation.load(folder) for folder in folders}
    with Service(patient(redis_url), Loaded(POINTER, generations)) as both:
        for version in OF:
            served = found(both, OF[version][0])["items"]
            assert "x" in served
            assert "i0" not in served
    assert redis_client.keys("{fs}:vec:new-1:x")


def test_a_snapshot_of_one_version_takes_none_from_the_other_that_cannot_write_its_own(
    redis_url: str, folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = patient(redis_url).model_copy(
        update={"data_folder": tmp_path, "snapshots_kept": 2, "log_kept_s": 0}
    )
    old = changed_generation()
    old.version, old.position = "new-1", Position(EPOCH, LogId(1, 0))
    write_snapshot(kept_in(settings), old)
    real = Snapshots.begin

    def begin(self: Snapshots, version: str, dim: int) -> New:
        if version == "new-1":
            raise OSError(28, "No space left on device")
        return real(self, version, dim)

    monkeypatch.setattr(Snapshots, "begin", begin)
    generations = {folder.name: Generation.load(folder) for folder in folders}
    with Service(settings, Loaded(POINTER, generations)) as both:
        log_id = both.post("/items", {"id": "x", "topics": ["art"]}).json()["log_id"]
        for version in OF:
            assert found(both, OF[version][0], after=log_id)["degraded"] == []
    kept = kept_in(settings)
    assert (kept.numbers("old-1"), kept.numbers("new-1")) == ([1], [1])
