"""Traces as a collector gets them: a real service, and OTLP over HTTP, decoded as what it is."""

import http.client
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.end_to_end.processes import Served, free_port
from tests.tiny import tiny_bundle

CANARY_KEY = "canary-key-of-an-administrator"
TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


class Collector:
    """What listens for OTLP, and keeps what comes."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        kept = self.bodies

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                assert self.headers["Content-Type"] == "application/x-protobuf"
                assert self.path == "/v1/traces"
                kept.append(self.rfile.read(int(self.headers["Content-Length"])))
                answer = ExportTraceServiceResponse().SerializeToString()
                self.send_response(200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1/traces"
        self._thread = threading.Thread(target=self._server.serve_forever)

    def __enter__(self) -> "Collector":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def spans(self) -> list[Span]:
        return [
            span
            for body in self.bodies
            for of_resource in ExportTraceServiceRequest.FromString(body).resource_spans
            for of_scope in of_resource.scope_spans
            for span in of_scope.spans
        ]


@contextmanager
def traced(folder: Path, share: float, **more: str) -> Iterator[tuple[Served, Collector]]:
    """Serve with a collector; what was sent is whole when the service has been stopped."""
    with Collector() as collector:
        bundle = tiny_bundle(folder / "bundles")
        settings = {"traces_url": collector.url, "traces_share": share, **more}
        served = Served(folder / "data", bundle, **settings)
        try:
            yield served, collector
        finally:
            served.kill()


def ask(served: Served, method: str, path: str, body: object = None, **headers: str) -> int:
    line = http.client.HTTPConnection("127.0.0.1", served.port, timeout=10)
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    if body is not None:
        given["Content-Type"] = "application/json"
    line.request(method, path, None if body is None else json.dumps(body), given)
    answer = line.getresponse()
    answer.read()
    line.close()
    return answer.status


def named(spans: Sequence[Span], name: str) -> list[Span]:
    return [span for span in spans if span.name == name]


def below(spans: Sequence[Span], parent: Span) -> dict[str, Span]:
    return {span.name: span for span in spans if span.parent_span_id == parent.span_id}


def attributes(span: Span) -> dict[str, object]:
    return {
        one.key: one.value.string_value or one.value.int_value or one.value.double_value
        for one in span.attributes
    }


def test_a_recall_is_one_tree_of_spans_that_goes_on_from_its_caller(tmp_path: Path) -> None:
    with traced(tmp_path, share=0, admin_token=CANARY_KEY) as (served, collector):
        head = {"traceparent": f"00-{TRACE}-{CALLER}-01", "Authorization": f"Bearer {CANARY_KEY}"}
        path = "/recall?user_id=canary&context.tab=canary"
        assert ask(served, "GET", path, **head, X_Request_Id="canary") == 200
        assert ask(served, "POST", "/items", {"id": "canary"}, **head) == 201
        assert ask(served, "GET", "/items/canary-2", **head) == 404
        assert ask(served, "GET", "/canary", **head) == 404
        assert ask(served, "TRACE", "/recall", **head) == 405
        assert ask(served, "GET", "/readyz", **head) == 200
        head["Authorization"] += "-wrong"
        assert ask(served, "PUT", "/users/canary", {}, **head) == 401
        assert served.stop() == 0
        spans = collector.spans()
    assert {span.trace_id.hex() for span in spans} == {TRACE}
    [recall] = named(spans, "GET /recall")
    assert recall.parent_span_id.hex() == CALLER
    assert recall.kind == Span.SPAN_KIND_SERVER
    assert attributes(recall) == {
        "http.request.method": "GET",
        "http.route": "/recall",
        "http.response.status_code": 200,
    }
    assert below(spans, recall).keys() == {"wait", "batch", "encode"}
    batch = below(spans, recall)["batch"]
    assert attributes(batch) == {"firstsight.recalls": 1, "firstsight.version": "tiny-1"}
    stages = below(spans, batch)
    assert stages.keys() == {"store"}  # nothing is known of this user: popular items
    for parent, child in ((recall, batch), (batch, stages["store"])):
        assert parent.start_time_unix_nano <= child.start_time_unix_nano + 1_000_000
        assert child.end_time_unix_nano <= parent.end_time_unix_nano + 1_000_000
    assert {"POST /items", "GET /items/{id}", "GET none", "_OTHER /recall", "PUT /users/{id}"} <= {
        s.name for s in spans
    }
    assert not any("readyz" in span.name for span in spans)
    for body in collector.bodies:
        assert b"canary" not in body.lower()


def test_requests_that_share_a_batch_are_linked_to_it_and_it_to_them(tmp_path: Path) -> None:
    with traced(tmp_path, share=1) as (served, collector):
        # With an id, so that each waits for Redis: meanwhile others come.
        body = {"user_id": "u", "user": {"taste": {"art": 1.0}}, "k": 5}

        def many(_: int) -> None:
            for _ in range(25):
                assert ask(served, "POST", "/recall", body) == 200

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(many, range(8)))
        assert served.stop() == 0
        spans = collector.spans()
    requests = {span.span_id: span for span in named(spans, "POST /recall")}
    batches = named(spans, "batch")
    assert len(requests) == 200
    assert sum(int(str(attributes(batch)["firstsight.recalls"])) for batch in batches) == 200
    shared = [batch for batch in batches if batch.links]
    assert shared, "no two of them were answered together"
    for batch in batches:
        asked = {batch.parent_span_id, *(link.span_id for link in batch.links)}
        assert len(asked) == attributes(batch)["firstsight.recalls"]
        assert below(spans, batch).keys() == {"store", "embed", "search"}
        for one in asked - {batch.parent_span_id}:
            assert [link.span_id for link in requests[one].links] == [batch.span_id]
    waits = {span.parent_span_id for span in named(spans, "wait")}
    assert waits == requests.keys() == {s.parent_span_id for s in named(spans, "encode")}


@pytest.mark.parametrize(("flag", "share", "recorded"), [("00", 1, 0), ("01", 0, 1)])
def test_whether_its_caller_records_decides_before_the_share(
    tmp_path: Path, flag: str, share: float, recorded: int
) -> None:
    with traced(tmp_path, share) as (served, collector):
        ask(served, "GET", "/recall?user_id=u", traceparent=f"00-{TRACE}-{CALLER}-{flag}")
        assert served.stop() == 0
        assert len(named(collector.spans(), "GET /recall")) == recorded


def test_a_share_is_recorded_of_those_whose_caller_says_nothing(tmp_path: Path) -> None:
    with traced(tmp_path, share=0.25) as (served, collector):
        line = http.client.HTTPConnection("127.0.0.1", served.port, timeout=10)
        for given in ("", "nonsense", f"00-{'0' * 32}-{CALLER}-01", f"ff-{TRACE}"):
            for _ in range(50):
                line.request("GET", "/version", headers={"traceparent": given})
                line.getresponse().read()
        line.close()
        assert served.stop() == 0
        spans = named(collector.spans(), "GET /version")
    assert 20 <= len(spans) <= 80  # 50, and six deviations of 6.1 at most
    assert {span.parent_span_id for span in spans} == {b""}


def test_a_collector_that_is_away_costs_no_request_and_little_time_at_the_end(
    tmp_path: Path,
) -> None:
    bundle, url = tiny_bundle(tmp_path / "bundles"), f"http://127.0.0.1:{free_port()}/v1/traces"
    served = Served(tmp_path / "data", bundle, traces_url=url, traces_share=1)
    try:
        for _ in range(20):
            begun_s = time.monotonic()
            assert ask(served, "GET", "/recall?user_id=u") == 200
            assert time.monotonic() - begun_s < 2
        begun_s = time.monotonic()
        assert served.stop() == 0
        assert time.monotonic() - begun_s < 10
        assert all(json.loads(line) for line in served.log.read_text().splitlines())
    finally:
        served.kill()


SECRETS = ("canary-login", "canary-query", "canary-bearer", "canary wrong")


@pytest.mark.parametrize("header", ["authorization=Bearer%20{}", "authorization=Bearer {}\r\nx"])
def test_what_a_collector_knows_us_by_is_in_no_line_of_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, header: str
) -> None:
    url = f"http://canary-login:canary-login@127.0.0.1:{free_port()}/v1/traces?key=canary-query"
    headers = f"{header.format('canary-bearer')},canary wrong"
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", headers)
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
    bundle = tiny_bundle(tmp_path / "bundles")
    served = Served(tmp_path / "data", bundle, traces_url=url, traces_share=1, log_level="DEBUG")
    try:
        assert ask(served, "GET", "/recall?user_id=u") == 200
        assert served.stop() == 0
        log = served.log.read_text()
        assert "Failed to export" in log
        assert not [one for one in SECRETS if one in log]
    finally:
        served.kill()


def test_the_frameworks_own_traces_metrics_and_logs_are_off_whatever_the_environment_asks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Collector() as collector:
        monkeypatch.setenv("FASTAPI_OTEL_AUTO_CONFIGURE", "true")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url.removesuffix("/v1/traces"))
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
        served = Served(tmp_path / "data", tiny_bundle(tmp_path / "bundles"))
        try:
            assert ask(served, "GET", "/users/canary") == 404
            assert served.stop() == 0
        finally:
            served.kill()
    assert not collector.bodies


def test_nothing_that_records_is_imported_where_none_is_recorded() -> None:
    program = "import sys, service.app, service.processes.worker; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split())
    # Not all of opentelemetry: redis imports of it what it finds.
    recording = {"service.tracing", "opentelemetry.sdk.trace.export", "opentelemetry.exporter.otlp"}
    assert not loaded & {*recording, "requests"}
    assert "service.recall" in loaded
