import json
import logging
import os
import subprocess
import sys
import textwrap
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

import pytest
from prometheus_client import REGISTRY

from service.duties.watch import show
from service.generation import Generation
from service.http.request_id import new_request_id, request_id, set_request_id
from service.logs import JsonLines
from service.metrics_folder import MULTIPROCESS
from service.store.durability import Level
from tests.service.running import Service, patient


def sample(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def test_requests_and_recalls_are_counted_by_route_status_and_state(
    redis_url: str, generation: Generation
) -> None:
    counted = [
        ("firstsight_requests_total", {"route": "/recall", "status": "200"}),
        ("firstsight_requests_total", {"route": "/items/{id}", "status": "404"}),
        ("firstsight_requests_total", {"route": "none", "status": "404"}),
        ("firstsight_recall_total", {"state": "fallback", "version": "tiny-1"}),
        ("firstsight_request_seconds_count", {"route": "/recall"}),
        ("firstsight_request_seconds_count", {"route": "/items/{id}"}),
        ("firstsight_recall_seconds_count", {"state": "fallback", "version": "tiny-1"}),
        ("firstsight_recall_wait_seconds_count", {}),
        ("firstsight_batch_recalls_count", {}),
        ("firstsight_stage_seconds_count", {"stage": "store"}),
        ("firstsight_stage_seconds_count", {"stage": "encode"}),
    ]
    before = [sample(name, **labels) for name, labels in counted]
    with Service(patient(redis_url), generation) as service:
        service.get("/recall?user_id=u")
        service.get("/items/none-such")
        service.get("/a/random/path")
        after = [sample(name, **labels) for name, labels in counted]
        assert [b - a for a, b in zip(before, after, strict=True)] == [1] * len(counted)
        assert sample("firstsight_index_items", part="main", version="tiny-1") == 40
        text = service.get("/metrics").text
    assert 'firstsight_recall_total{state="fallback",version="tiny-1"}' in text


def test_no_label_holds_what_a_client_sends(redis_url: str, generation: Generation) -> None:
    with Service(patient(redis_url), generation) as service:
        service.ask("PUT", "/users/canary", json={"country": "canary"})
        service.post("/items", {"id": "canary", "topics": ["canary"]})
        service.post("/recall", {"user_id": "canary", "user": {"country": "canary"}})
        for path in ("/canary", "/recall?user_id=canary&canary=1", "/items/canary"):
            service.get(path, headers={"X-Request-Id": "canary"})
        service.ask("CANARY", "/recall")
        assert "canary" not in service.get("/metrics").text.lower()


def test_a_batch_is_counted_once_and_each_of_its_recalls_tells_how_long_it_waited(
    redis_url: str, generation: Generation
) -> None:
    batches = "firstsight_batch_recalls"
    waits, stores = "firstsight_recall_wait_seconds", "firstsight_stage_seconds_count"
    with Service(patient(redis_url), generation) as service:
        before = [sample(f"{batches}_sum"), sample(f"{batches}_count"), sample(f"{waits}_count")]
        stored = sample(stores, stage="store")
        service.post("/recall/batch", {"requests": [{"user_id": f"u{n}"} for n in range(12)]})
        after = [sample(f"{batches}_sum"), sample(f"{batches}_count"), sample(f"{waits}_count")]
        assert [b - a for a, b in zip(before, after, strict=True)] == [12, 1, 12]
        assert sample(stores, stage="store") - stored == 1


def test_the_gauges_of_a_replica_say_what_its_readyz_says(
    redis_url: str, generation: Generation
) -> None:
    with Service(patient(redis_url), generation) as service:
        show(service.parts)
        said = service.get("/readyz").json()
        assert sample("firstsight_ready") == 1
        assert {
            level: sample("firstsight_durability", level=level) for level in get_args(Level)
        } == {level: float(level == said["durability"]) for level in get_args(Level)}
        exported = generation.bundle.manifest.lineage.exported_at
        age_s = (datetime.now(UTC) - exported).total_seconds()
        told = sample("firstsight_bundle_age_seconds", version="tiny-1")
        assert told == pytest.approx(age_s, abs=60)
        before = sample("firstsight_items_checksum", version="tiny-1")
        service.post("/items", {"id": "new", "topics": ["art"]})
        show(service.parts)
        after = sample("firstsight_items_checksum", version="tiny-1")
        checksum = service.get("/readyz").json()["checksum"]
        assert before != after == int(checksum, 16) % 2**48
        service.control.is_leaving = True
        show(service.parts)
        assert sample("firstsight_ready") == 0


def test_what_is_rare_is_counted_from_0_on() -> None:
    for name, label, values in (
        ("firstsight_degraded_total", "reason", ("store", "features", "stale")),
        ("firstsight_snapshots_total", "was", ("written", "failed", "refused")),
        ("firstsight_reconciled_total", "was", ("read", "announced")),
    ):
        for value in values:
            assert REGISTRY.get_sample_value(name, {label: value}) is not None


def test_several_workers_answer_with_the_same_metrics(tmp_path: Path) -> None:
    program = textwrap.dedent(
        """
        import os, sys
        from service import observe
        observe.REQUESTS.labels("/recall", 200).inc(int(sys.argv[1]))
        observe.INDEX_ITEMS.labels("main", "v1").set(int(sys.argv[1]))
        print(observe.exposition().decode())
        """
    )
    environ = os.environ | {MULTIPROCESS: str(tmp_path)}

    def worker(count: int) -> str:
        command = [sys.executable, "-c", program, str(count)]
        done = subprocess.run(command, env=environ, capture_output=True, text=True, check=True)
        return done.stdout

    worker(5)
    said = worker(2)
    assert 'firstsight_requests_total{route="/recall",status="200"} 7.0' in said
    # The first worker is gone: what it counted stays, what it held does not.
    assert 'firstsight_index_items{part="main",version="v1"} 2.0' in said


def test_a_log_line_is_one_json_object_with_its_facts() -> None:
    set_request_id(b"r-1")
    record = logging.makeLogRecord(
        {"name": "service.x", "levelname": "INFO", "msg": "told\nin %s", "args": ("two",)}
        | {"items": 3, "created": 1.5, "msecs": 500.0}
    )
    line = JsonLines().format(record)
    assert "\n" not in line
    assert json.loads(line) == {
        "time": "1970-01-01T00:00:01.500Z",
        "level": "INFO",
        "logger": "service.x",
        "message": "told\nin two",
        "request_id": "r-1",
        "items": 3,
    }


def test_a_log_line_carries_the_traceback() -> None:
    try:
        raise ValueError("why")
    except ValueError:
        record = logging.makeLogRecord({"msg": "failed", "exc_info": sys.exc_info()})
    assert "ValueError: why" in json.loads(JsonLines().format(record))["traceback"]


def test_no_user_is_named_above_debug(
    redis_url: str, generation: Generation, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with Service(patient(redis_url), generation) as service:
        service.ask("PUT", "/users/canary", json={"country": "canary"})
        service.get("/recall?user_id=canary")
        service.post("/recall", {"user_id": "canary", "user": {"country": "canary", "age": "x"}})
    ours = [record for record in caplog.records if record.name.startswith("service")]
    said = [record for record in ours if record.levelno > logging.DEBUG]
    assert [r for r in said if "canary" in json.dumps(vars(r), default=str)] == []
    assert ours


@pytest.mark.parametrize("given", [None, b"", b"a b", b"x" * 65, b"\xff", b"a\r\nb"])
def test_a_request_id_that_is_not_sane_is_replaced(given: bytes | None) -> None:
    made = set_request_id(given)
    assert len(made) == 26
    assert request_id() == made


def test_new_request_ids_differ_and_rise_with_time() -> None:
    made = [new_request_id() for _ in range(100)]
    assert len(set(made)) == 100
    assert [one[:10] for one in made] == sorted(one[:10] for one in made)
