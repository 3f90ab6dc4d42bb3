"""An answer with `debug` is made again in another process: all is the same, or it is said why."""

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from export.contract.manifest import checksum
from export.index.hnsw import HnswConfig
from firstsight import run as command
from service.child.environment import ENVIRONMENT
from service.generation import Generation
from service.http.examples import RECALL_EXPLAINED
from service.replay.debug import Debug
from service.replay.replay import difference, doubts
from service.settings import Settings
from tests.service.running import Service, patient
from tests.tiny import tiny_bundle
from tests.tiny_ranker import tiny_ranker

Body = dict[str, Any]

pytestmark = pytest.mark.usefixtures("logging_as_it_was")

INDEX = "index/main.bin"
WARM: Body = {"recent": ["i1", "new7"], "taste": {"art": 1.0, "food": 0.3}}
CASES: dict[str, Body] = {
    "warm": {"user_id": "u", "context": {"tab": "1"}},
    "cold": {"user": {"country": "de", "age": 30.3}},
    "fallback": {"user_id": "stranger", "k": 60, "exclude": ["i0", "new3"]},
    "history": {"user_id": "u", "history": ["i1", "new3", "gone", "new8", "i1"]},
    "exclude": {"user": WARM, "exclude": ["new2", "i4", "i5", "nothing"], "k": 30},
    "as if cold": {"user_id": "u", "cold": True},
    "context": {"user": WARM, "context": {"tab": "2"}, "k": 1},
    "ranked": {"user_id": "u", "rank": "din", "k": 50},
    "forgotten": {"user_id": "u", "user": {"preference": None, "age": None}},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bundle(tmp_path_factory.mktemp("ranked"), "ranked-1", ranker=tiny_ranker)


@pytest.fixture(autouse=True)
def environment_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():  # the command sets what is not set
        monkeypatch.setenv(name, value)


@pytest.fixture
def settings(redis_url: str, folder: Path, tmp_path: Path, monkeypatch: Any) -> Settings:
    monkeypatch.setenv("FIRSTSIGHT_DATA_FOLDER", str(tmp_path / "data"))
    monkeypatch.setenv("FIRSTSIGHT_REDIS", redis_url)
    monkeypatch.setenv("FIRSTSIGHT_BUNDLE", str(folder))
    monkeypatch.setenv("FIRSTSIGHT_STORE_TIMEOUT_MS", "10000")
    return patient(redis_url)


@pytest.fixture
def service(settings: Settings, folder: Path) -> Iterator[Service]:
    """A service whose items were posted, posted again, patched and removed."""
    with Service(settings, Generation.load(folder)) as running:
        for turn in range(2):
            for n in range(9):
                record = {"id": f"new{n}", "topics": ["art"] if n % 2 else ["food"], "length": n}
                assert running.post("/items", {**record, "clicks": turn}).status_code < 300
        running.ask("PATCH", "/items/i3", json={"length": 9.5, "topics": ["art", "music"]})
        running.ask("PATCH", "/items/new4", json={"length": 2})
        for one in ("new0", "i2", "gone"):
            log_id = running.ask("DELETE", f"/items/{one}").headers["x-log-id"]
        running.ask("PUT", "/users/u", json={"country": "de", "age": 31.7, **WARM})
        assert running.get(f"/recall?user_id=u&after={log_id}").json()["degraded"] == []
        yield running


def answer_of(service: Service, **body: object) -> Body:
    answer = service.post("/recall", {"k": 12, "debug": True, **body})
    assert answer.status_code == 200, answer.text
    told: Body = answer.json()
    return told


def written(answer: object, path: Path) -> Path:
    path.write_bytes(orjson.dumps(answer))
    return path


def snapshot_now(capsys: pytest.CaptureFixture[str]) -> Path:
    assert command(["items", "snapshot"]) == 0
    return Path(capsys.readouterr().out.strip().removeprefix("wrote "))


def replayed(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    code = command(["replay", *map(str, arguments)])
    told = capsys.readouterr()
    return code, told.out + told.err


def test_each_path_is_the_same_in_another_process(
    service: Service, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    snapshot = snapshot_now(capsys)
    files = []
    for name, body in CASES.items():
        answer = answer_of(service, **body)
        assert answer["items"], name
        files.append(str(written(answer, tmp_path / f"{name}.json")))
    program = "import sys, firstsight; bundle, snapshot, *files = sys.argv[1:]\n"
    program += "for file in files: print(firstsight.run("
    program += "['replay', file, '--bundle', bundle, '--snapshot', snapshot]))"
    done = subprocess.run(
        [sys.executable, "-c", program, folder, snapshot, *files],
        capture_output=True,
        text=True,
        check=True,
    )
    expected = [
        line
        for file in files
        for items in [len(orjson.loads(Path(file).read_bytes())["items"])]
        for line in (f"the same: version ranked-1, {items} items", "0")
    ]
    assert done.stdout.splitlines() == expected, done.stderr


def test_states_are_those_that_the_cases_are_named_for(service: Service) -> None:
    states = {name: answer_of(service, **body)["state"] for name, body in CASES.items()}
    assert states["cold"] == states["as if cold"] == states["forgotten"] == "cold"
    assert (states["fallback"], states["warm"], states["history"]) == ("fallback", "warm", "warm")


def test_a_snapshot_from_before_the_answer_is_refused(
    service: Service, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    snapshot = snapshot_now(capsys)
    before = answer_of(service)["debug"]["log_id"]
    log_id = service.post("/items", {"id": "later", "topics": ["art"]}).json()["log_id"]
    file = written(answer_of(service, user=WARM, after=log_id), tmp_path / "answer.json")
    code, told = replayed(capsys, file, "--bundle", folder, "--snapshot", snapshot)
    assert code == 1
    assert told.count("\n") == 1
    assert f"made at {log_id}" in told
    assert f"the snapshot ends at {before}" in told
    assert "firstsight items snapshot" in told
    code, told = replayed(capsys, file, "--bundle", folder)
    assert (code, "no snapshot was given" in told) == (1, True)


def test_what_was_posted_after_the_answer_is_left_out(
    service: Service, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = written(answer_of(service, user=WARM), tmp_path / "answer.json")
    service.post("/items", {"id": "later", "topics": ["art"]})
    snapshot = snapshot_now(capsys)
    code, told = replayed(capsys, file, "--bundle", folder, "--snapshot", snapshot)
    assert (code, told) == (0, "the same: version ranked-1, 12 items\n")


def test_what_was_changed_after_the_answer_is_named(
    service: Service, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = written(answer_of(service, user=WARM), tmp_path / "answer.json")
    service.ask("PATCH", "/items/new7", json={"length": 8})
    snapshot = snapshot_now(capsys)
    code, told = replayed(capsys, file, "--bundle", folder, "--snapshot", snapshot)
    assert code == 1
    assert "may differ: 'new7'" in told


def test_redis_tells_what_was_written_since_the_snapshot(
    service: Service,
    redis_url: str,
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    snapshot = snapshot_now(capsys)
    log_id = service.post("/items", {"id": "later", "topics": ["art"]}).json()["log_id"]
    file = written(answer_of(service, user=WARM, after=log_id), tmp_path / "answer.json")
    for options in (["--snapshot", snapshot], []):
        code, told = replayed(capsys, file, "--bundle", folder, "--redis", redis_url, *options)
        assert (code, told) == (0, "the same: version ranked-1, 12 items\n")
    service.ask("DELETE", "/items/later")
    code, told = replayed(capsys, file, "--bundle", folder, "--redis", redis_url)
    assert code == 1
    assert "may differ: 'later'" in told


def test_another_bundle_is_refused(
    service: Service, bundle_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = written(answer_of(service), tmp_path / "answer.json")
    code, told = replayed(capsys, file, "--bundle", bundle_folder)
    assert (code, "by another bundle" in told) == (1, True)


def test_an_answer_of_a_compact_index_is_the_same_again(
    redis_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    bundle = tiny_bundle(tmp_path / "bundles", items=2100, index="compact")
    monkeypatch.setenv("FIRSTSIGHT_REDIS", redis_url)
    with Service(patient(redis_url), Generation.load(bundle)) as service:
        answer = answer_of(service, user=WARM, k=30, exclude=["i4"])
    assert answer["debug"]["made_by"]["faiss-cpu"] == version("faiss-cpu")
    code, told = replayed(capsys, written(answer, tmp_path / "answer.json"), "--bundle", bundle)
    assert code == 0, told


@pytest.fixture
def graph_bundle(tmp_path: Path) -> Path:
    """A bundle that is searched in a graph, of which it holds the file."""
    bundle = tiny_bundle(tmp_path / "bundles")
    manifest: Body = orjson.loads((bundle / "manifest.json").read_bytes())
    graph = HnswConfig().build(np.load(bundle / "vectors.npy"))
    (bundle / INDEX).parent.mkdir()
    graph.save(bundle / INDEX)
    manifest["index"]["settings"] = HnswConfig().model_dump()
    manifest["checksums"][INDEX] = checksum(bundle / INDEX)
    written(manifest, bundle / "manifest.json")
    return bundle


def without_index(bundle: Path, manifest: Body) -> None:
    del manifest
    (bundle / INDEX).unlink()


def with_another_index(bundle: Path, manifest: Body) -> None:
    del manifest
    (bundle / INDEX).write_bytes(b"another graph")


def with_the_index_forgotten(bundle: Path, manifest: Body) -> None:
    (bundle / INDEX).unlink()
    del manifest["checksums"][INDEX]


def with_other_settings(bundle: Path, manifest: Body) -> None:
    del bundle
    manifest["index"]["settings"]["ef"] += 1


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (without_index, f"not made by this bundle as it is: .*{INDEX} is missing"),
        (with_another_index, f"not made by this bundle as it is: .*{INDEX}: SHA-256 is "),
        (with_the_index_forgotten, "made by another bundle than this"),
        (with_other_settings, "searched with index settings .*, these are "),
    ],
)
def test_an_index_that_is_not_the_one_of_the_answer_is_not_built_in_its_place(
    redis_url: str,
    graph_bundle: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    change: Callable[[Path, Body], None],
    named: str,
) -> None:
    with Service(patient(redis_url), Generation.load(graph_bundle)) as service:
        file = written(answer_of(service, user=WARM), tmp_path / "answer.json")
    assert replayed(capsys, file, "--bundle", graph_bundle)[0] == 0
    manifest = orjson.loads((graph_bundle / "manifest.json").read_bytes())
    change(graph_bundle, manifest)
    written(manifest, graph_bundle / "manifest.json")
    code, told = replayed(capsys, file, "--bundle", graph_bundle)
    assert (code, told.count("\n")) == (1, 1)
    assert re.search(named, told), told


def test_a_folder_without_a_bundle_is_the_users_mistake(
    service: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = written(answer_of(service), tmp_path / "answer.json")
    code, told = replayed(capsys, file, "--bundle", tmp_path)
    assert (code, "no bundle here" in told, told.count("\n")) == (2, True, 1)


def test_an_answer_that_was_not_given_is_found_out(
    service: Service, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    snapshot = snapshot_now(capsys)
    answer = answer_of(service, user=WARM)
    score = np.nextafter(np.float32(answer["scores"][4]), np.float32(2))
    answer["scores"][4] = float(str(score))
    file = written(answer, tmp_path / "answer.json")
    code, told = replayed(capsys, file, "--bundle", folder, "--snapshot", snapshot)
    assert code == 1
    assert told.startswith("different: scores: at place 4 was ")
    assert "12 are the same" in told


def test_places_of_other_items_are_refused(
    service: Service, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    snapshot, answer = snapshot_now(capsys), answer_of(service, user=WARM)
    answer["debug"]["index"]["delta"]["items"][0] = "nobody"
    file = written(answer, tmp_path / "answer.json")
    code, told = replayed(capsys, file, "--bundle", folder, "--snapshot", snapshot)
    assert (code, "index.delta.items" in told) == (1, True)


def test_another_request_is_answered_from_the_same_state(
    service: Service, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    snapshot = snapshot_now(capsys)
    debug = answer_of(service, user_id="u")["debug"]
    asked = {"user_id": "u", "k": 3, "cold": True}
    file = written({"request": asked, "debug": debug}, tmp_path / "asked.json")
    code, told = replayed(capsys, file, "--bundle", folder, "--snapshot", snapshot)
    assert code == 0
    made, given = orjson.loads(told), answer_of(service, **asked)
    assert (made["items"], made["scores"]) == (given["items"], given["scores"])


def explained(places: list[int]) -> str:
    """Return an answer whose delta of two rows says these places of two items."""
    answer: Body = orjson.loads(orjson.dumps(RECALL_EXPLAINED))
    answer["debug"]["index"]["delta"] |= {"rows": 2, "items": ["a", "b"], "places": places}
    return orjson.dumps(answer).decode()


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("{", "not JSON"),
        ('{"items": []}', "no answer of a recall that was asked with debug"),
        ('{"debug": {"request": 1}}', "debug: "),
        (explained(places=[0, 0]), "index.delta: "),
        (explained(places=[0, 2]), "expected places from 0 to 1"),
        (explained(places=[1]), "as many places as items"),
    ],
)
def test_a_file_that_is_no_answer_is_the_users_mistake(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, named: str
) -> None:
    file = tmp_path / "answer.json"
    file.write_text(text)
    code, told = replayed(capsys, file, "--bundle", folder)
    assert (code, named in told, told.count("\n")) == (2, True, 1)


def test_it_is_said_why_an_answer_cannot_be_exact(service: Service) -> None:
    now = Debug.model_validate(answer_of(service, user=WARM)["debug"])
    assert doubts(now, now) == []
    index = now.index
    main = index.main.model_copy(update={"from_bundle": False, "rows": 4321})
    delta = index.delta.model_copy(update={"vectors": "other"})
    was = index.model_copy(update={"main": main, "delta": delta, "others": {"recent": 17}})
    made_by = {**now.made_by, "numpy": "1.0"}
    built, recent, vectors, numpy = doubts(
        now.model_copy(update={"index": was, "made_by": made_by}), now
    )
    assert "a main index of 4321 items" in built
    assert "17 of its items were in the recent index" in recent
    assert "computed in another process" in vectors
    assert "numpy 1.0" in numpy


def test_an_answer_of_a_rebuilt_main_index_is_compared_all_the_same(
    service: Service, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    snapshot = snapshot_now(capsys)
    assert service.generation is not None
    service.generation.compact()
    answer = answer_of(service, user=WARM)
    assert not answer["debug"]["index"]["main"]["from_bundle"]
    answer["items"][:2] = answer["items"][1::-1]
    file = written(answer, tmp_path / "answer.json")
    code, told = replayed(capsys, file, "--bundle", folder, "--snapshot", snapshot)
    assert code == 1
    assert "it cannot be exact: it was searched in a main index of 47 items" in told


def test_the_first_difference_is_told_in_the_order_of_the_stages() -> None:
    one: Body = {"state": "warm", "items": ["a"], "scores": [0.5], "debug": {"user": {"x": [1]}}}
    assert difference(one, one) is None
    other = {**one, "items": ["b"], "debug": {"user": {"x": [2]}}}
    told = difference(one, other)
    assert told is not None
    assert told.startswith("user: x: at place 0 was 1, is 2; of 1 items 0 are the same")
    assert str(difference(one, {**one, "state": "cold"})).startswith("state: was 'warm', is 'cold'")
    longer = {**one, "items": ["a", "b"], "scores": [0.5, 0.4]}
    assert str(difference(one, longer)).startswith("items: were 1, are 2")
