"""What is told of a size is what it is: of Redis by a real one, of bundles by one that is made."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from deploy.lock import ROOT
from deploy.sizing import (
    SHOWN,
    Load,
    cores,
    disk_bytes,
    index_bytes,
    loading_bytes,
    main,
    redis_bytes,
    rows,
    serving_bytes,
    table,
)
from service.redis.embedded import EmbeddedRedis
from service.rollout.room import needed_bytes
from service.store.keys import Keys
from service.store.scripts import WRITE_ITEM
from tests.tiny import DIM, tiny_bundle

PAGE = (ROOT / "docs" / "operations.md").read_text("utf-8")
COUNT = 3000


@pytest.fixture
def client(tmp_path: Path) -> "Iterator[redis.Redis]":
    with EmbeddedRedis(tmp_path / "redis") as url, redis.Redis.from_url(url) as client:
        yield client


@pytest.mark.parametrize("dim", [16, 64, 256])
def test_redis_takes_what_is_told(client: "redis.Redis", dim: int) -> None:
    """Items as the service writes them, with the vector of one version; users; log entries."""
    keys, before = Keys("fs"), client.info("memory")["used_memory"]
    write = client.register_script(WRITE_ITEM.decode())
    with client.pipeline(transaction=False) as calls:
        for number in range(COUNT):
            one = f"item-{number:06d}"
            record = f'"patched":null,"id":"{one}","content":{{"length":12.5}},"preference":null}}'
            told: list[str | int | bytes] = [
                one,
                "put",
                0,
                record,
                "new",
                bytes(4 * dim),
                86400,
                10**6,
                "e",
                "v1",
                "",
            ]
            write(keys=keys.written("v1", one), args=told, client=calls)
            calls.set(keys.user(one), b"x" * 300)
        calls.execute()
    took = client.info("memory")["used_memory"] - before
    record_bytes = client.strlen(keys.item("item-000001"))
    load = Load(
        *(COUNT, dim), posted=COUNT, users=COUNT, item_bytes=record_bytes, log_entries=COUNT
    )
    assert 0.9 < redis_bytes(load, versions=1) / took < 1.15


def test_a_bundle_is_reckoned_as_the_service_does(tmp_path: Path) -> None:
    bundle = tiny_bundle(tmp_path, items=4000)
    took = sum(path.stat().st_size for path in bundle.rglob("*") if path.is_file())
    records = (bundle / "items.parquet").stat().st_size
    load = Load(4000, DIM, item_bytes=8 * records // 4000)
    towers = sum(path.stat().st_size for path in bundle.glob("*.onnx"))
    assert 0.9 < disk_bytes(load) / (took - towers) < 1.15
    assert 0.9 < loading_bytes(load) / (needed_bytes(bundle) - 2 * towers) < 1.1


def test_each_part_is_added_once() -> None:
    one, more = Load(1_000_000), Load(1_000_000, workers=3, posted=50_000)
    assert serving_bytes(one) == 247e6 + index_bytes(one)
    assert serving_bytes(more) - serving_bytes(one) == 2 * 22e6 + 3 * 50_000 * (800 + 8 * 64)
    assert index_bytes(Load(10, 64)) == 10 * (284 + 2 * 256 + 150)
    assert index_bytes(Load(10, 64, "compact")) == 10 * (72 + 256 + 150)
    assert cores(Load(1, recalls_per_s=600, recall_ms=1.0)) == pytest.approx(1.0)


def test_what_was_posted_is_limited_by_the_catalogue() -> None:
    """Then a handover takes it into the main index."""
    many, more = Load(1_000_000, posted=200_000), Load(1_000_000, posted=900_000)
    assert serving_bytes(many) == serving_bytes(more)


def test_limits_have_room_for_what_is_loaded_beside() -> None:
    load = Load(1_000_000)
    told = {name.strip(): float(value.split()[0]) for name, value in rows(load) if "GB" in value}
    serving, loading = serving_bytes(load) / 1e9, loading_bytes(load) / 1e9
    limits = [told["limit, with room for a handover"], told["limit, beside a candidate as well"]]
    assert limits == pytest.approx([serving + loading, serving + 2 * loading], abs=0.01)


def test_the_table_of_the_page_is_the_computed_one(capsys: pytest.CaptureFixture[str]) -> None:
    [shown] = re.findall(r"<!-- sizing: begin -->\n(.*)\n<!-- sizing: end -->", PAGE, re.S)
    assert shown == table()
    assert main(["table"]) == 0
    assert capsys.readouterr().out == f"{shown}\n"
    assert len(shown.splitlines()) == len(SHOWN) + 2


def test_the_command_of_the_page_runs(capsys: pytest.CaptureFixture[str]) -> None:
    [shown] = re.findall(r"^python -m deploy.sizing (.*)$", PAGE, re.M)
    assert main(shown.split()) == 0
    assert "a replica that serves one version" in capsys.readouterr().out


MEASURED = re.findall(
    r"^\| ([\d,]+) \| (hnsw|compact) \| ([\d.]+) GB \| ([\d.]+) GB \|$", PAGE, re.M
)


@pytest.mark.parametrize(("items", "index", "measured", "computed"), MEASURED)
def test_what_was_measured_is_near_what_is_computed(
    items: str, index: str, measured: str, computed: str
) -> None:
    load = Load(int(items.replace(",", "")), index=index)  # type: ignore[arg-type]
    assert f"{serving_bytes(load) / 1e9:.3f}" == computed
    assert 0.93 < float(computed) / float(measured) < 1.1


def test_something_was_measured() -> None:
    assert len(MEASURED) == 6
    assert sys.platform == "linux"


def test_the_constants_of_the_page_are_those_of_the_command() -> None:
    text = re.sub(r"\s+", " ", PAGE)
    for told in ("284 + 4 dim", "8 + dim", "| 150 |", "800 + 8 dim", "408 + record + 4 dim"):
        assert told in text
    assert "247 MB for a service with one worker, 18 MB more with `compact`, 22 MB for" in text
