from pathlib import Path

import pytest
import redis

from export.contract.errors import BundleError
from service.pointer import (
    PointerUnknown,
    activate_first,
    bundle_to_serve,
    current_version,
    find_bundle,
    offered_version,
)
from service.settings import Settings


@pytest.fixture
def settings(redis_url: str, tmp_path: Path) -> Settings:
    return Settings(redis=redis_url, bundles=tmp_path / "bundles")


def offering(settings: Settings, bundle: Path) -> Settings:
    return settings.model_copy(update={"bundle": bundle})


def test_the_first_version_becomes_current_and_no_later_one_does(
    settings: Settings, redis_client: redis.Redis
) -> None:
    assert current_version(settings) is None
    activate_first(settings, "one")
    activate_first(settings, "two")
    assert current_version(settings) == "one"
    assert redis_client.hgetall("{fs}:current") == {
        b"generation": b"1",
        b"current": b"one",
        b"candidate": b"",
        b"share": b"0",
    }


def test_the_offered_bundle_is_served_while_no_version_is_current(
    settings: Settings, bundle_folder: Path
) -> None:
    assert bundle_to_serve(settings) is None
    assert bundle_to_serve(offering(settings, bundle_folder)) == bundle_folder


def test_the_current_version_wins_over_the_offered_bundle(
    settings: Settings, bundle_folder: Path
) -> None:
    activate_first(settings, "other-7")
    assert bundle_to_serve(offering(settings, bundle_folder)) is None
    there = settings.bundles / "other-7"
    there.mkdir(parents=True)
    (there / "manifest.json").write_text('{"version": "other-7"}')
    assert bundle_to_serve(offering(settings, bundle_folder)) == there


def test_the_offered_bundle_is_found_by_its_version_wherever_it_lies(
    settings: Settings, bundle_folder: Path
) -> None:
    assert find_bundle(offering(settings, bundle_folder), "tiny-1") == bundle_folder
    assert find_bundle(offering(settings, bundle_folder), "tiny-2") is None


def test_without_redis_the_offered_bundle_is_served(tmp_path: Path, bundle_folder: Path) -> None:
    settings = Settings(redis=f"unix://{tmp_path}/none.sock", bundle=bundle_folder)
    assert bundle_to_serve(settings) == bundle_folder
    with pytest.raises(PointerUnknown):
        current_version(settings)
    activate_first(settings, "tiny-1")  # says so in the log, and is no error


def test_a_pointer_that_names_no_version_is_not_followed_into_the_file_system(
    settings: Settings, redis_client: redis.Redis
) -> None:
    redis_client.hset("{fs}:current", "current", "../../etc")
    with pytest.raises(PointerUnknown, match="no version"):
        current_version(settings)


@pytest.mark.parametrize("manifest", [None, "", "[]", "{}", '{"version": "../x"}', '{"version": 1'])
def test_what_is_no_bundle_is_refused(tmp_path: Path, manifest: str | None) -> None:
    if manifest is not None:
        (tmp_path / "manifest.json").write_text(manifest)
    with pytest.raises(BundleError):
        offered_version(tmp_path)
