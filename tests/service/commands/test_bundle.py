"""The commands `firstsight bundle ...`: what they say, and with which exit code."""

import json
from pathlib import Path

import pytest
import redis

import firstsight
from export.contract.bundle import BundleLayout, read_manifest
from export.contract.errors import BundleError
from service.processes import worker
from service.rollout.pointer import Pointer, first_pointer
from service.rollout.pointer_store import change_pointer, read_pointer
from service.settings import Settings
from tests.tiny import tiny_bundle

pytestmark = pytest.mark.usefixtures("logging_as_it_was")

Captured = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def bundles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FIRSTSIGHT_BUNDLES", str(tmp_path / "bundles"))
    monkeypatch.setenv("FIRSTSIGHT_DATA_FOLDER", str(tmp_path / "data"))
    # Else it is the suite that gives way from then on.
    monkeypatch.setattr("service.child.yielding.yield_for_good", lambda: None)
    return tmp_path / "bundles"


def test_a_good_bundle_is_verified_and_a_changed_one_refused(
    tmp_path: Path, capsys: Captured
) -> None:
    bundle = tiny_bundle(tmp_path)
    assert firstsight.run(["bundle", "verify", str(bundle)]) == 0
    assert "version tiny-1, 40 items" in capsys.readouterr().out
    golden = BundleLayout(bundle).golden
    golden.write_bytes(golden.read_bytes() + b" ")
    assert firstsight.run(["bundle", "verify", str(bundle)]) == 2
    assert "golden.json" in capsys.readouterr().err


def test_a_bundle_with_a_data_file_that_changed_is_not_served(
    redis_url: str, tmp_path: Path, capsys: Captured
) -> None:
    bundle = tiny_bundle(tmp_path, large_bytes=200)
    assert firstsight.run(["bundle", "verify", str(bundle)]) == 0
    data = BundleLayout(bundle).tower_data("item")
    data.write_bytes(data.read_bytes()[:-1])
    assert firstsight.run(["bundle", "verify", str(bundle)]) == 2
    with pytest.raises(BundleError, match=r"member item_tower\.onnx\.data has changed"):
        worker.load(Settings.model_validate({"redis": redis_url, "bundle": bundle}))


def test_a_bundle_goes_from_published_to_current_and_back(
    redis_url: str, tmp_path: Path, bundles: Path, bundle_folder: Path, capsys: Captured
) -> None:
    def run(*words: str, code: int = 0) -> tuple[str, str]:
        assert firstsight.run(["bundle", *words]) == code
        said = capsys.readouterr()
        return said.out, said.err

    two = tiny_bundle(tmp_path, "tiny-2", items=41)
    ours = ["--redis", redis_url]
    assert run("publish", str(bundle_folder))[0] == f"{bundles}/tiny-1: published. 40 items\n"
    assert "there already, the same" in run("publish", str(bundle_folder))[0]
    run("publish", str(two))
    assert "no version is current yet" in run("list", *ours)[1]  # publishing activates nothing

    told, _ = run("activate", "tiny-1", *ours)
    assert told == "generation 1: version tiny-1 is current; before: none\n"
    told, _ = run("activate", "tiny-2", "--expect", "1", *ours)
    assert told == "generation 2: version tiny-2 is current; before: version tiny-1 is current\n"
    assert run("activate", "tiny-2", *ours)[0].startswith("nothing to change. generation 2")
    listed, beside = run("list", *ours)
    one, other = listed.splitlines()
    assert one.startswith("tiny-1 ")
    assert one.endswith("previous")
    assert other.endswith("current")
    assert "41 items" in other
    assert "generation 2: version tiny-2 is current" in beside

    _, refused = run("activate", "tiny-1", "--expect", "1", *ours, code=2)
    assert "generation 2 came first, expected 1; version tiny-2 is current now" in refused
    assert run("rollback", *ours)[0].startswith("generation 3: version tiny-1 is current")
    assert "no version is known to have been current" in run("rollback", *ours, code=2)[1]


def test_a_list_as_json_is_one_document(
    redis_url: str, bundles: Path, bundle_folder: Path, capsys: Captured
) -> None:
    settings = Settings.model_validate({"redis": redis_url})
    first = change_pointer(settings, None, first_pointer("tiny-0"))
    change_pointer(settings, first, first.activated("tiny-1", 0.25))
    assert firstsight.run(["bundle", "publish", str(bundle_folder)]) == 0
    (bundles / "half").mkdir()
    capsys.readouterr()
    assert firstsight.run(["bundle", "list", "--json", "--redis", redis_url]) == 0
    document = json.loads(capsys.readouterr().out)
    half, tiny = document["bundles"]
    assert "no bundle here" in half["fault"]
    created = read_manifest(bundle_folder).lineage.exported_at.isoformat()
    size_bytes = sum(path.stat().st_size for path in bundle_folder.rglob("*") if path.is_file())
    assert tiny == {
        "version": "tiny-1",
        "size_bytes": size_bytes,
        "created": created,
        "items": 40,
        "fault": None,
        "roles": ["candidate"],
        "share": 0.25,
    }
    assert document["unknown"] is None
    assert document["pointer"] == {
        "generation": 2,
        "current": "tiny-0",
        "candidate": "tiny-1",
        "share": 0.25,
        "previous": None,
    }
    assert firstsight.run(["bundle", "list", "--redis", redis_url]) == 0
    assert "candidate 0.25\n" in capsys.readouterr().out


def test_without_a_redis_bundles_are_listed_and_none_is_activated(
    tmp_path: Path, bundle_folder: Path, capsys: Captured
) -> None:
    assert firstsight.run(["bundle", "list"]) == 0
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"no versions in {tmp_path}/bundles (FIRSTSIGHT_BUNDLES)\n")
    assert firstsight.run(["bundle", "publish", str(bundle_folder)]) == 0
    assert firstsight.run(["bundle", "list"]) == 0
    said = capsys.readouterr()
    assert "tiny-1" in said.out
    nobody = f"no service runs on the data folder {tmp_path}/data; start one"
    assert nobody in said.err
    for words in (["activate", "tiny-1"], ["rollback"]):
        assert firstsight.run(["bundle", *words]) == 2
        said = capsys.readouterr()
        assert nobody in said.err
        assert said.err.count("\n") == 1
    gone = f"unix://{tmp_path}/none.sock"
    assert firstsight.run(["bundle", "rollback", "--redis", gone]) == 1
    assert "redis: ConnectionError" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["publish", "nowhere"], "no bundle here"),
        (["activate", "tiny-9"], "'tiny-9' is not in"),
        (["activate", "../x"], "expected 1 to 64 letters"),
        (["activate", "tiny-1", "--share", "0.1"], "none can be tried beside it"),
        (["activate", "tiny-1", "--share", "2"], "more than 0 and at most 1"),
        (["activate", "tiny-1", "--share", "nan"], "more than 0 and at most 1"),
        (["activate", "tiny-1", "--share", "much"], "'--share'"),
        (["rollback"], "nothing to go back to"),
        (["activate", "tiny-1", "--redis", "localhost"], "begins with one of redis://"),
    ],
)
def test_a_mistake_is_one_line_and_changes_nothing(
    redis_url: str,
    monkeypatch: pytest.MonkeyPatch,
    bundle_folder: Path,
    capsys: Captured,
    words: list[str],
    told: str,
) -> None:
    monkeypatch.setenv("FIRSTSIGHT_REDIS", redis_url)
    assert firstsight.run(["bundle", "publish", str(bundle_folder)]) == 0
    capsys.readouterr()
    assert firstsight.run(["bundle", *words]) == 2
    said = capsys.readouterr()
    assert told in said.err
    assert (said.err.count("\n"), said.out) == (1, "")
    with redis.Redis.from_url(redis_url) as client:
        assert client.keys("*") == []


def test_the_prefix_is_that_of_the_service(
    redis_url: str, monkeypatch: pytest.MonkeyPatch, bundle_folder: Path
) -> None:
    monkeypatch.setenv("FIRSTSIGHT_PREFIX", "ours")
    assert firstsight.run(["bundle", "publish", str(bundle_folder)]) == 0
    assert firstsight.run(["bundle", "activate", "tiny-1", "--redis", redis_url]) == 0
    assert read_pointer(Settings(redis=redis_url)) is None
    assert read_pointer(Settings(redis=redis_url, prefix="ours")) == Pointer(1, "tiny-1")
