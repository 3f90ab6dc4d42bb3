"""What is activated is checked before, and a running service follows the pointer there and back."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import redis
from pydantic import SecretStr

from export.contract.bundle import BundleLayout
from export.contract.errors import BundleError
from service.generation import Generation
from service.redis.embedded import running_url
from service.rollout.bundles import NoSuchBundle, publish
from service.rollout.pointer import Pointer, PointerRefused, first_pointer
from service.rollout.pointer_store import activate_first, change_pointer, read_pointer
from service.rollout.rollout import activate, rollback
from service.settings import Settings
from tests.end_to_end.processes import Served
from tests.tiny import tiny_bundle


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bundle(tmp_path_factory.mktemp("two"), "tiny-2", items=41)


@pytest.fixture
def settings(redis_url: str, tmp_path: Path, bundle_folder: Path, two: Path) -> Settings:
    for source in (bundle_folder, two):
        publish(tmp_path / "bundles", source)
    return Settings(redis=redis_url, bundles=tmp_path / "bundles")


def test_versions_are_activated_and_rolled_back(settings: Settings) -> None:
    one = Pointer(1, "tiny-1")
    assert activate(settings, "tiny-1") == (None, one)
    assert activate(settings, "tiny-1") == (one, one)
    other = Pointer(2, "tiny-2", previous="tiny-1")
    assert activate(settings, "tiny-2", expect=1) == (one, other)
    assert rollback(settings) == (other, Pointer(3, "tiny-1"))
    with pytest.raises(PointerRefused, match="no version is known to have been current before"):
        rollback(settings)


def test_a_version_that_is_not_there_is_refused(settings: Settings) -> None:
    told = r"'tiny-3' is not in .*bundles \(there: tiny-1, tiny-2\); publish it first"
    with pytest.raises(BundleError, match=told):
        activate(settings, "tiny-3")
    with pytest.raises(BundleError, match="version '../bundles/tiny-1': expected 1 to 64"):
        activate(settings, "../bundles/tiny-1")
    assert read_pointer(settings) is None


def test_a_version_that_is_damaged_is_refused_by_its_member(settings: Settings) -> None:
    BundleLayout(settings.bundles / "tiny-2").tower("user").write_bytes(b"")
    with pytest.raises(BundleError, match=r"member user_tower\.onnx has changed"):
        activate(settings, "tiny-2")
    assert read_pointer(settings) is None


def test_a_version_that_has_no_room_is_refused(settings: Settings) -> None:
    tight = settings.model_copy(update={"memory_bytes": 1 << 20})
    with pytest.raises(BundleError, match="MiB of memory"):
        activate(tight, "tiny-1")
    assert read_pointer(settings) is None


def test_a_bundle_under_another_name_is_refused(settings: Settings) -> None:
    (settings.bundles / "tiny-2").rename(settings.bundles / "tiny-3")
    with pytest.raises(BundleError, match="names version 'tiny-2', but its folder is 'tiny-3'"):
        activate(settings, "tiny-3")


@pytest.mark.parametrize("expect", [0, 2])
def test_another_generation_than_the_expected_is_refused(settings: Settings, expect: int) -> None:
    activate(settings, "tiny-1", expect=0)
    with pytest.raises(PointerRefused, match=f"generation 1 came first, expected {expect}"):
        activate(settings, "tiny-2", expect=expect)
    assert read_pointer(settings) == first_pointer("tiny-1")


def test_who_changes_the_pointer_while_a_bundle_is_verified_wins(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    verify = Generation.load

    def slow(folder: Path) -> object:
        activate_first(settings, "tiny-1")
        return verify(folder)

    monkeypatch.setattr(Generation, "load", slow)
    told = "generation 1 came first, expected 0; version tiny-1 is current now"
    with pytest.raises(PointerRefused, match=told):
        activate(settings, "tiny-2")
    assert read_pointer(settings) == first_pointer("tiny-1")


def test_a_share_that_is_none_is_refused(settings: Settings) -> None:
    activate(settings, "tiny-1")
    with pytest.raises(PointerRefused, match="more than 0"):
        activate(settings, "tiny-2", 0.0)
    assert read_pointer(settings) == first_pointer("tiny-1")


def test_candidates_are_tried_promoted_and_dropped(settings: Settings) -> None:
    with pytest.raises(PointerRefused, match="none can be tried beside it"):
        activate(settings, "tiny-2", 0.1)
    activate(settings, "tiny-1")
    tried = Pointer(2, "tiny-1", "tiny-2", 0.1)
    assert activate(settings, "tiny-2", 0.1)[1] == tried
    assert rollback(settings) == (tried, Pointer(3, "tiny-1"))
    activate(settings, "tiny-2", 0.1)
    assert activate(settings, "tiny-2")[1] == Pointer(5, "tiny-2", previous="tiny-1")


def test_what_is_tried_already_is_promoted_without_another_load(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    activate(settings, "tiny-1")
    activate(settings, "tiny-2", 0.1)

    def fails(folder: Path) -> Generation:
        raise AssertionError(f"{folder} was loaded")

    monkeypatch.setattr(Generation, "load", fails)
    assert activate(settings, "tiny-2", 0.5)[1].share == 0.5
    assert activate(settings, "tiny-2")[1].current == "tiny-2"
    with pytest.raises(AssertionError, match="tiny-1 was loaded"):
        activate(settings, "tiny-1")


def test_a_rollback_to_a_version_that_is_gone_is_refused(settings: Settings) -> None:
    with pytest.raises(PointerRefused, match="no version is current yet"):
        rollback(settings)
    first = change_pointer(settings, None, first_pointer("gone-1"))
    now = change_pointer(settings, first, first.activated("tiny-1"))
    for offered in (None, settings.bundles / "gone-1"):
        with pytest.raises(NoSuchBundle, match="'gone-1' is not in") as refused:
            rollback(settings.model_copy(update={"bundle": offered}))
        assert refused.value.version == "gone-1"
    assert read_pointer(settings) == now


def served_version(served: Served) -> str:
    status, answer = served.ask("POST", "/recall", {"k": 1})
    assert status == 200
    version: str = answer["version"]
    return version


def follows(served: Served, version: str) -> None:
    until = time.monotonic() + 60
    while served_version(served) != version:
        assert time.monotonic() < until, served.log.read_text()
        time.sleep(0.1)


@pytest.fixture
def served(tmp_path: Path, settings: Settings) -> Iterator[Served]:
    """A service with its embedded Redis, as `firstsight serve` starts it."""
    served = Served(tmp_path / "data", settings.bundles / "tiny-1")
    yield served
    served.kill()


Command = Callable[..., str]


@pytest.fixture
def firstsight(settings: Settings, tmp_path: Path) -> Command:
    """`firstsight bundle ...` with the settings of the service that is served."""
    environ = {name: v for name, v in os.environ.items() if not name.startswith("FIRSTSIGHT_")}
    environ |= {
        "FIRSTSIGHT_BUNDLES": str(settings.bundles),
        "FIRSTSIGHT_DATA_FOLDER": str(tmp_path / "data"),
    }

    def run(*words: str) -> str:
        command = [sys.executable, "-m", "firstsight", "bundle", *words]
        done = subprocess.run(command, env=environ, capture_output=True, text=True, check=True)
        return done.stdout

    return run


def test_a_running_service_takes_a_version_over_and_goes_back(
    served: Served, firstsight: Command
) -> None:
    assert served_version(served) == "tiny-1"
    assert "generation 2: version tiny-2 is current" in firstsight("activate", "tiny-2")
    follows(served, "tiny-2")
    assert "generation 3: version tiny-1 is current" in firstsight("rollback")
    follows(served, "tiny-1")
    listed = json.loads(firstsight("list", "--json"))
    assert listed["pointer"]["generation"] == 3
    assert [one["roles"] for one in listed["bundles"]] == [["current"], []]


def versions(served: Served) -> set[str]:
    requests = [{"user_id": f"u{n}", "k": 1} for n in range(32)]
    status, answer = served.ask("POST", "/recall/batch", {"requests": requests})
    assert status == 200
    return {one["version"] for one in answer["results"]}


def serves(served: Served, *expected: str) -> None:
    until = time.monotonic() + 60
    while versions(served) != set(expected):
        assert time.monotonic() < until, served.log.read_text()
        time.sleep(0.05)


def workers(served: Served) -> set[int]:
    """Return the processes of the service, the loader's among them."""
    return {one.pid for one in served.family()}


def test_a_candidate_is_tried_promoted_and_taken_back_by_the_same_workers(
    served: Served, firstsight: Command
) -> None:
    firstsight("activate", "tiny-2", "--share", "0.5")
    serves(served, "tiny-1", "tiny-2")
    time.sleep(1.0)  # until those who drain have gone
    same = workers(served)
    firstsight("activate", "tiny-2", "--share", "0.001")
    serves(served, "tiny-1")
    firstsight("activate", "tiny-2")
    serves(served, "tiny-2")
    firstsight("rollback")
    serves(served, "tiny-1")
    assert workers(served) == same


def until_ready_says(served: Served, name: str, told: str | None) -> None:
    until = time.monotonic() + 60
    while True:
        status, ready = served.ask("GET", "/readyz")
        assert status == 200
        if ready[name] == told or (told and told in str(ready[name])):
            return
        assert time.monotonic() < until, ready
        time.sleep(0.05)


def damaged(settings: Settings) -> None:
    BundleLayout(settings.bundles / "tiny-2").tower("user").write_bytes(b"")


def test_a_candidate_that_is_damaged_on_the_way_is_refused_and_told(
    served: Served, settings: Settings, tmp_path: Path
) -> None:
    reached = settings.model_copy(update={"redis": redis_of(tmp_path / "data")})
    before = read_pointer(reached)
    assert before is not None
    damaged(settings)
    after = change_pointer(reached, before, before.activated("tiny-2", 0.5))
    until_ready_says(served, "refused", "user_tower.onnx has changed")
    assert versions(served) == {"tiny-1"}
    change_pointer(reached, after, after.rolled_back())
    until_ready_says(served, "refused", None)


def test_a_candidate_that_is_tried_stays_when_the_index_cannot_be_rebuilt_beside_it(
    tmp_path: Path,
) -> None:
    bundles = tmp_path / "bundles"
    for version in ("tiny-1", "tiny-2"):
        tiny_bundle(bundles, version, items=300)
    served = Served(tmp_path / "data", bundles / "tiny-1")
    try:
        reached = Settings(redis=redis_of(tmp_path / "data"), bundles=bundles)
        before = read_pointer(reached)
        assert before is not None
        change_pointer(reached, before, before.activated("tiny-2", 0.5))
        serves(served, "tiny-1", "tiny-2")
        time.sleep(1.0)  # until those who drain have gone
        same = workers(served)
        damaged(reached)
        for number in range(251):  # a main index so worn is to be built anew
            assert served.ask("DELETE", f"/items/i{number}")[0] == 204
        until_ready_says(served, "refused", "'tiny-2' is being tried and could not be any more")
        until_ready_says(served, "refused", "user_tower.onnx has changed")
        assert versions(served) == {"tiny-1", "tiny-2"}
        assert same <= workers(served)
    finally:
        served.kill()


def test_a_version_that_is_damaged_on_the_way_leaves_the_old_one_serving_and_says_so(
    served: Served, settings: Settings, tmp_path: Path
) -> None:
    reached = settings.model_copy(update={"redis": redis_of(tmp_path / "data")})
    before = read_pointer(reached)
    assert before is not None
    damaged(settings)
    after = change_pointer(reached, before, before.activated("tiny-2"))
    until_ready_says(served, "refused", "user_tower.onnx has changed")
    assert served_version(served) == "tiny-1"
    change_pointer(reached, after, after.rolled_back())
    until_ready_says(served, "refused", None)


def test_where_the_current_version_is_damaged_at_a_start_it_is_taken_away_and_rolled_back(
    served: Served, settings: Settings, firstsight: Command, tmp_path: Path
) -> None:
    firstsight("activate", "tiny-2")
    follows(served, "tiny-2")
    served.kill()
    damaged(settings)
    with pytest.raises(AssertionError, match=r"exit 3[^$]*user_tower.onnx has changed"):
        Served(tmp_path / "data", settings.bundles / "tiny-1")
    shutil.rmtree(settings.bundles / "tiny-2")

    def roll_back() -> str:
        until = time.monotonic() + 60
        while time.monotonic() < until:
            with contextlib.suppress(subprocess.CalledProcessError):  # its Redis does not run yet
                return firstsight("rollback")
        raise AssertionError("there is no way back")

    with ThreadPoolExecutor(1) as pool:
        rolled = pool.submit(roll_back)
        again = Served(tmp_path / "data", settings.bundles / "tiny-1")
    try:
        assert "version tiny-1 is current; before: version tiny-2" in rolled.result()
        assert served_version(again) == "tiny-1"
    finally:
        again.kill()


def test_a_version_that_nobody_is_served_any_more_is_unloaded(
    settings: Settings, firstsight: Command, tmp_path: Path
) -> None:
    served = Served(tmp_path / "data", settings.bundles / "tiny-1", unnamed_kept_s=0.5)
    try:
        firstsight("activate", "tiny-2", "--share", "0.5")
        serves(served, "tiny-1", "tiny-2")
        time.sleep(1.0)
        before = set(served.workers())
        firstsight("activate", "tiny-2")
        until = time.monotonic() + 60
        while before & set(served.workers()):
            assert time.monotonic() < until
            time.sleep(0.1)
        assert versions(served) == {"tiny-2"}
    finally:
        served.kill()


def redis_of(data: Path) -> SecretStr:
    url = running_url(data / "redis")
    assert url is not None
    return SecretStr(url)


def test_a_pointer_that_redis_lost_is_written_again(
    served: Served, settings: Settings, tmp_path: Path
) -> None:
    url = redis_of(tmp_path / "data")
    reached = settings.model_copy(update={"redis": url})
    before = read_pointer(reached)
    with redis.Redis.from_url(url.get_secret_value()) as client:
        client.delete("{fs}:current")
    until = time.monotonic() + 30
    while read_pointer(reached) != before:
        assert time.monotonic() < until
        time.sleep(0.05)
