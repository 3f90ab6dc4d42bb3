"""A loader loads what the pointer names; a candidate that cannot be served is left out and told."""

import re
from pathlib import Path
from typing import Any

import pytest

from export.contract.bundle import BundleLayout
from export.contract.errors import BundleError
from service.generation import Generation
from service.processes import loaded as module
from service.processes.loaded import load_served
from service.processes.preparation import ItemsUnread, prepare
from service.rollout import room
from service.rollout.pointer import Pointer, first_pointer
from service.rollout.pointer_store import change_pointer
from service.rollout.room import needed_bytes
from service.settings import Settings
from tests.service.running import Service
from tests.tiny import tiny_bundle

TRIED = Pointer(2, "tiny-1", "tiny-2", 0.25)


@pytest.fixture
def settings(redis_url: str, tmp_path: Path) -> Settings:
    for version, items in (("tiny-1", 40), ("tiny-2", 41)):
        tiny_bundle(tmp_path, version, items=items)
    return Settings(redis=redis_url, bundles=tmp_path, snapshots_kept=0)


def activate(settings: Settings, pointer: Pointer) -> None:
    change_pointer(settings, None, pointer)


def test_the_current_version_and_the_candidate_are_loaded(settings: Settings) -> None:
    activate(settings, TRIED)
    loaded = load_served(settings)
    assert loaded is not None
    assert {one: len(of) for one, of in loaded.generations.items()} == {"tiny-1": 40, "tiny-2": 41}
    assert (loaded.pointer, loaded.refused) == (TRIED, {})


def test_a_damaged_candidate_is_left_out_and_a_damaged_current_version_is_an_error(
    settings: Settings,
) -> None:
    BundleLayout(settings.bundles / "tiny-2").tower("user").write_bytes(b"")
    activate(settings, TRIED)
    loaded = load_served(settings)
    assert loaded is not None
    assert [*loaded.generations] == ["tiny-1"]
    assert loaded.pointer == Pointer(2, "tiny-1")
    assert "user_tower.onnx" in loaded.refused["tiny-2"]
    change_pointer(settings, TRIED, Pointer(3, "tiny-2"))
    with pytest.raises(BundleError, match=r"user_tower\.onnx"):
        load_served(settings)


FAILURES = (
    OSError(5, "Input/output error"),
    RuntimeError("Index seems to be corrupted or unsupported"),
    MemoryError("std::bad_alloc"),
    ItemsUnread("items cannot be read"),
)


def fails_with(error: Exception, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have one step of loading `tiny-2` fail."""
    load = Generation.load

    def failing_load(folder: Path) -> Generation:
        if folder.name == "tiny-2":
            raise error
        return load(folder)

    def failing_prepare(generation: Generation, *args: Any, **options: Any) -> None:
        if generation.version == "tiny-2":
            raise error
        prepare(generation, *args, **options)

    if step == "load":
        monkeypatch.setattr(Generation, "load", failing_load)
    else:
        monkeypatch.setattr(module, "prepare", failing_prepare)


@pytest.mark.parametrize("error", FAILURES[:3], ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("step", ["load", "prepare"])
def test_a_candidate_that_fails_in_whatever_way_is_left_out_and_told(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, step: str, error: Exception
) -> None:
    activate(settings, TRIED)
    fails_with(error, step, monkeypatch)
    for served in ([], ["tiny-1"]):
        loaded = load_served(settings, served=served)
        assert loaded is not None
        assert [*loaded.generations] == ["tiny-1"]
        assert loaded.refused == {"tiny-2": f"{type(error).__name__}: {error}"}
    with Service(settings, loaded) as service:
        ready = service.get("/readyz")
        assert ready.status_code == 200
        assert ready.json()["refused"] == f"tiny-2: {type(error).__name__}: {error}"


@pytest.mark.parametrize("error", FAILURES, ids=lambda error: type(error).__name__)
def test_who_takes_over_needs_the_candidate_that_others_serve(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    activate(settings, TRIED)
    served = ["tiny-1", "tiny-2"]
    loaded = load_served(settings, served=served)
    assert loaded is not None
    assert [*loaded.generations] == served
    fails_with(error, "prepare", monkeypatch)
    with pytest.raises(BundleError, match=re.escape(str(error))):
        load_served(settings, served=served)


def test_a_candidate_that_others_serve_keeps_no_new_current_version_from_taking_over(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    activate(settings, TRIED)
    fails_with(RuntimeError("damaged"), "load", monkeypatch)
    loaded = load_served(settings, served=["tiny-0", "tiny-2"])
    assert loaded is not None
    assert [*loaded.generations] == ["tiny-1"]
    assert loaded.refused == {"tiny-2": "RuntimeError: damaged"}


@pytest.mark.parametrize("limit", ["each", "both"])
def test_a_handover_without_room_for_both_that_are_served_is_refused_before_either_is_loaded(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    activate(settings, TRIED)
    small, large = (needed_bytes(settings.bundles / one) for one in ("tiny-1", "tiny-2"))
    if limit == "each":
        settings = settings.model_copy(update={"memory_bytes": small})
    else:
        monkeypatch.setattr(room, "free_bytes", lambda: small + large - 1)
    loads: list[Path] = []
    monkeypatch.setattr(Generation, "load", loads.append)
    with pytest.raises(BundleError, match="'tiny-2' is being tried and could not .* MiB of memory"):
        load_served(settings, served=["tiny-1", "tiny-2"])
    assert loads == []


def test_a_handover_to_a_candidate_that_is_gone_is_refused_before_anything_is_loaded(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    activate(settings, Pointer(2, "tiny-1", "gone", 0.25))
    loads: list[Path] = []
    monkeypatch.setattr(Generation, "load", loads.append)
    with pytest.raises(BundleError, match="'gone' is being tried and could not .* is not in"):
        load_served(settings, served=["tiny-1", "gone"])
    assert loads == []


def test_items_that_cannot_be_read_are_not_the_fault_of_a_candidate(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    activate(settings, TRIED)
    fails_with(ItemsUnread("redis is silent"), "prepare", monkeypatch)
    with pytest.raises(BundleError, match="redis is silent"):
        load_served(settings, served=["tiny-1"])


def test_a_candidate_that_is_not_there_is_left_out(settings: Settings) -> None:
    activate(settings, Pointer(2, "tiny-1", "gone", 0.25))
    loaded = load_served(settings)
    assert loaded is not None
    assert "'gone' is not in" in loaded.refused["gone"]


def test_a_bundle_under_another_name_is_refused(settings: Settings) -> None:
    (settings.bundles / "tiny-2").rename(settings.bundles / "tiny-3")
    activate(settings, Pointer(2, "tiny-3"))
    with pytest.raises(BundleError, match="holds version 'tiny-2', not 'tiny-3'"):
        load_served(settings)


def test_two_bundles_that_do_not_fit_are_refused_before_the_second_is_loaded(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    activate(settings, TRIED)
    small, large = (needed_bytes(settings.bundles / one) for one in ("tiny-1", "tiny-2"))
    assert large > small
    tight = settings.model_copy(update={"memory_bytes": small})
    loaded = load_served(tight)
    assert loaded is not None
    assert [*loaded.generations] == ["tiny-1"]
    assert "MiB of memory" in loaded.refused["tiny-2"]
    with pytest.raises(BundleError, match="MiB of memory"):
        load_served(settings.model_copy(update={"memory_bytes": small - 1}))


def test_who_takes_over_does_not_guess_what_is_to_be_served(
    settings: Settings, tmp_path: Path
) -> None:
    silent = Settings(
        redis=f"unix://{tmp_path}/none.sock", bundles=tmp_path, bundle=tmp_path / "tiny-2"
    )
    assert load_served(silent) is not None
    with pytest.raises(BundleError, match="which version is current is not known"):
        load_served(silent, served=["tiny-1"])
    activate(settings, Pointer(2, "gone"))
    assert load_served(settings) is None
    with pytest.raises(BundleError, match="'gone' is current and not in"):
        load_served(settings, served=["tiny-1"])


def test_without_a_pointer_the_offered_bundle_is_loaded(settings: Settings) -> None:
    assert load_served(settings) is None
    offered = settings.model_copy(update={"bundle": settings.bundles / "tiny-2"})
    loaded = load_served(offered)
    assert loaded is not None
    assert loaded.pointer == first_pointer("tiny-2")
