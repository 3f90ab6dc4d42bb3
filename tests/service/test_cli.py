"""The commands of the service, against a real one."""

import os
import socket
import threading
from collections.abc import Iterator
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pyarrow as pa
import pyarrow.parquet
import pytest
import redis

import firstsight
from export.contract.tables import write_as_of
from service.cli import plan_of
from service.commands.client import Client, ServiceFailed, url_of
from service.generation import Generation
from service.processes import worker
from service.processes.control import WorkerControl
from service.processes.loaded import Loaded
from service.settings import Settings, read_settings
from tests.floats import floats
from tests.service.running import patient

pytestmark = pytest.mark.usefixtures("logging_as_it_was")


@pytest.fixture
def url(redis_url: str, generation: Generation) -> Iterator[str]:
    """A service on a port of the loopback."""
    listener = socket.create_server(("127.0.0.1", 0))
    far, near = socket.socketpair()
    control = WorkerControl.alone()
    held, control.lifeline = control.lifeline, near
    settings = patient(redis_url).model_copy(update={"linger_s": 0})
    serving = threading.Thread(
        target=worker.run_worker, args=(settings, Loaded.alone(generation), listener, control)
    )
    serving.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    far.close()
    serving.join(10)
    held.close()
    control.close()


def test_items_of_a_csv_are_loaded_and_the_refused_named(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "items.csv"
    path.write_text('item_id,topics,length,title\n01,"art,food",12,A\n02,music,long,B\n1,,,C\n')
    assert firstsight.run(["items", "load", str(path), "--url", url]) == 1
    told = capsys.readouterr()
    assert told.out == "loaded 2, refused 1\n"
    assert "row 2, item '02': feature 'length': got 'long'" in told.err
    assert "columns that are no features: title" in told.err
    stored = httpx.get(f"{url}/items/01").json()["record"]
    assert stored == {"id": "01", "topics": ["art", "food"], "length": 12.0}
    assert httpx.get(f"{url}/items/1").json()["record"] == {"id": "1"}
    assert httpx.get(f"{url}/items/02").status_code == 404

    assert firstsight.run(["items", "delete", "01", "1", "a/b", "--url", url]) == 0
    assert httpx.get(f"{url}/items/01").status_code == 404


def test_commands_ask_the_service_where_the_settings_say_it_is(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "items.csv"
    table.write_text("item_id,length\nx,1\n")
    people = tmp_path / "users.csv"
    people.write_text("user_id,age\nu,1\n")
    monkeypatch.setenv("FIRSTSIGHT_PORT", url.rpartition(":")[2])
    monkeypatch.setenv("FIRSTSIGHT_HOST", "0.0.0.0")
    assert firstsight.run(["items", "load", str(table)]) == 0
    assert firstsight.run(["users", "load", str(people)]) == 0
    assert httpx.get(f"{url}/items/x").status_code == 200
    assert httpx.get(f"{url}/users/u").status_code == 200
    assert firstsight.run(["items", "delete", "x"]) == 0
    assert httpx.get(f"{url}/items/x").status_code == 404
    monkeypatch.setenv("FIRSTSIGHT_PORT", "0")
    assert firstsight.run(["items", "delete", "x", "--url", url]) == 0
    assert firstsight.run(["items", "delete", "x"]) == 2
    assert "FIRSTSIGHT_PORT: 0 is any free one" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000"),
        ("::", "http://[::1]:8000"),
        ("::1", "http://[::1]:8000"),
        ("recall.local", "http://recall.local:8000"),
    ],
)
def test_the_url_of_a_service_is_that_of_its_address(host: str, expected: str) -> None:
    assert url_of(Settings(host=host)) == expected
    assert Client(expected)


def test_users_of_a_parquet_table_are_loaded(url: str, tmp_path: Path) -> None:
    path = tmp_path / "users.parquet"
    taste = pa.array([[("art", 2.0)], None, []], pa.map_(pa.string(), pa.float64()))
    recent = pa.array([["i1"], None, ["i2", "i3"]], pa.list_(pa.string()))
    columns = {"user_id": ["u1", "a/b", "ü"], "age": [30.0, float("nan"), None]}
    pyarrow.parquet.write_table(pa.table({**columns, "taste": taste, "recent": recent}), path)
    assert firstsight.run(["users", "load", str(path), "--url", url]) == 0
    first = httpx.get(f"{url}/users/u1").json()["record"]
    assert first == {"id": "u1", "age": 30.0, "taste": {"art": 2.0}, "recent": ["i1"]}
    assert httpx.get(f"{url}/users/a%2Fb").json() == {
        "id": "a/b",
        "record": {"id": "a/b"},
        "state": "fallback",
        "dropped": ["content", "preference"],
    }
    assert httpx.get(f"{url}/users/%C3%BC").json()["record"]["recent"] == ["i2", "i3"]


def age(url: str, one: str) -> object:
    return httpx.get(f"{url}/users/{one}").json()["record"]["age"]


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    """Users as of now, as `firstsight export --users` writes them."""
    path = tmp_path / "users.parquet"
    pyarrow.parquet.write_table(pa.table({"user_id": ["a", "b", "c", "d"], "age": [1.0] * 4}), path)
    write_as_of(path, path, datetime.now(UTC))
    return path


def test_users_written_or_erased_after_the_export_stay_so(
    url: str, exported: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    httpx.put(f"{url}/users/a", json={"age": 2})
    httpx.delete(f"{url}/users/b")
    load = ["users", "load", str(exported), "--url", url]
    assert firstsight.run(load) == 0
    told = capsys.readouterr()
    assert told.out == "loaded 2, kept 1 newer, skipped 1 erased, refused 0\n"
    assert "as of" not in told.err
    assert (age(url, "a"), age(url, "c")) == (2, 1)
    assert httpx.get(f"{url}/users/b").status_code == 404

    assert firstsight.run(load) == 0
    assert capsys.readouterr().out == "loaded 0, kept 3 newer, skipped 1 erased, refused 0\n"


def test_users_written_before_the_export_are_replaced(
    url: str, exported: Path, redis_client: redis.Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    redis_client.set("fs:user:a", '{"id":"a","content":{"age":2.0}}')
    long_ago = '{"written_at":1000000000.000000,"id":"b","content":{"age":2.0}}'
    redis_client.set("fs:user:b", long_ago)
    assert firstsight.run(["users", "load", str(exported), "--url", url]) == 0
    assert capsys.readouterr().out == "loaded 4, kept 0 newer, skipped 0 erased, refused 0\n"
    assert (age(url, "a"), age(url, "b")) == (1, 1)


def test_a_table_without_a_moment_is_as_of_its_modification_or_as_asked(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "users.csv"
    path.write_text("user_id,age\na,1\n")
    os.utime(path, (1e9, 1e9))
    httpx.put(f"{url}/users/a", json={"age": 2})
    load = ["users", "load", str(path), "--url", url]
    assert firstsight.run(load) == 0
    told = capsys.readouterr()
    assert told.out == "loaded 0, kept 1 newer, skipped 0 erased, refused 0\n"
    assert f"{path} does not say as of when it is" in told.err
    assert "2001-09-09T01:46:40+00:00" in told.err

    assert firstsight.run([*load, "--as-of", "2222-01-01"]) == 0
    told = capsys.readouterr()
    assert told.out == "loaded 1, kept 0 newer, skipped 0 erased, refused 0\n"
    assert "as of" not in told.err
    assert age(url, "a") == 1


def test_a_refused_user_is_named_and_counts_as_failed(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "users.csv"
    path.write_text("user_id,age\na,1\nb,old\n")
    assert firstsight.run(["users", "load", str(path), "--url", url]) == 1
    told = capsys.readouterr()
    assert told.out == "loaded 1, kept 0 newer, skipped 0 erased, refused 1\n"
    assert "row 2, user 'b': feature 'age': got 'old'" in told.err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [(["none.csv"], "none.csv: no such file"), (["u.csv", "--as-of", "monday"], "ISO 8601")],
)
def test_a_load_of_users_that_cannot_begin_is_one_line(
    capsys: pytest.CaptureFixture[str], arguments: list[str], told: str
) -> None:
    assert firstsight.run(["users", "load", *arguments]) == 2
    said = capsys.readouterr().err
    assert told in said
    assert said.count("\n") == 1


def test_more_rows_than_a_batch_are_all_loaded(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "items.csv"
    path.write_text("item_id\n" + "".join(f"n{number}\n" for number in range(1234)))
    assert firstsight.run(["items", "load", str(path), "--url", url]) == 0
    told = capsys.readouterr()
    assert told.out == "loaded 1234, refused 0\n"
    assert "1234 of 1234 items" in told.err
    assert httpx.get(f"{url}/items/n1233").status_code == 200


@pytest.mark.parametrize(
    ("table", "code", "told"),
    [
        (None, 2, "no such file"),
        ("user_id\nu\n", 2, "no column 'item_id'"),
        ("item_id\na\na\n", 2, "row 1 and again in row 2"),
    ],
)
def test_a_table_that_cannot_be_loaded_is_one_line(
    url: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    table: str | None,
    code: int,
    told: str,
) -> None:
    path = tmp_path / "items.csv"
    if table is not None:
        path.write_text(table)
    assert firstsight.run(["items", "load", str(path), "--url", url]) == code
    said = capsys.readouterr().err
    assert told in said
    assert said.count("\n") == 1


def test_a_service_that_is_not_there_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    where = f"http://127.0.0.1:{port}"
    assert firstsight.run(["items", "delete", "a", "--url", where]) == 1
    assert capsys.readouterr().err.startswith(f"firstsight: {where}: ")
    assert firstsight.run(["items", "delete", "a", "--url", "localhost:8000"]) == 2


def test_a_parsed_vector_is_sent_as_a_list(url: str) -> None:
    body = {"id": "a", "length": floats(0.1, 2.0)}
    with Client(url) as client, pytest.raises(ServiceFailed, match=r"got \[0\.1, 2\.0\]"):
        client.call("POST", "/items", body)


def test_serving_what_is_no_bundle_is_the_users_mistake(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert firstsight.run(["serve", "--bundle", str(tmp_path)]) == 2
    assert "no bundle here" in capsys.readouterr().err


def test_an_unknown_setting_stops_the_start(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FIRSTSIGHT_PROT", "9000")
    assert firstsight.run(["serve"]) == 2
    assert capsys.readouterr().err == "firstsight: FIRSTSIGHT_PROT: there is no such setting\n"


def test_serving_on_a_port_in_use_does_not_start(
    redis_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as used:
        port = used.getsockname()[1]
        assert firstsight.run(["serve", "--redis", redis_url, "--port", str(port)]) == 3
    assert "choose another with --port" in capsys.readouterr().err


def test_the_supervisor_is_told_what_the_settings_say() -> None:
    assert plan_of(read_settings({})).redis is None
    told = {
        "host": "127.0.0.2",
        "port": 1,
        "workers": 3,
        "redis": "redis://there",
        "data_folder": Path("kept"),
        "linger_s": 6.0,
        "grace_s": 7.0,
        "readiness_off_s": 8.0,
        "load_timeout_s": 9.0,
    }
    names = {f"FIRSTSIGHT_{name.upper()}": str(value) for name, value in told.items()}
    plan = plan_of(read_settings(names))
    assert set(told) == {one.name for one in fields(plan)} - {"application", "settings_for"}
    assert {name: getattr(plan, name) for name in told} == told
    handed = plan.settings_for("unix:///x.sock")
    assert isinstance(handed, Settings)
    assert handed.redis is not None
    assert handed.redis.get_secret_value() == "unix:///x.sock"


def test_traces_without_what_sends_them_stop_the_start(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("service.cli.EXPORTER", "no-such-distribution")
    monkeypatch.setenv("FIRSTSIGHT_TRACES_URL", "http://127.0.0.1:4318/v1/traces")
    assert firstsight.run(["serve"]) == 2
    told = "firstsight: FIRSTSIGHT_TRACES_URL needs the extra 'tracing': "
    assert capsys.readouterr().err == f"{told}pip install 'firstsight[tracing]'\n"
