"""Traces of requests, sent as OTLP over HTTP; imported only where that is asked for."""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import Token
from typing import Final
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import (
    Link,
    Span,
    SpanKind,
    Status,
    StatusCode,
    Tracer,
    set_span_in_context,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

from service.keys.hidden import hide
from service.stages import RequestTrace, Trace, recorded, recorded_request

TIMEOUT_S: Final = 2
"""How long a collector is waited for; by a thread, and by a worker that leaves."""

HEADERS: Final = ("OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS")
"""Where the SDK reads what it sends to the collector beside spans: `name=value,...`."""

METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

Tokens = tuple[Token[Trace | None], Token[RequestTrace | None]]


class Tracing:
    """Records a share of the requests, and those whose caller records theirs.

    Spans wait in memory, 2,048 of them, and are sent by a thread; what does not fit is dropped.
    What is recorded is closed as labels of metrics are: no ids, no features, no text of a client.

    url: where OTLP is posted to, as http://collector:4318/v1/traces. share: 0..1.
    """

    def __init__(self, url: str, share: float) -> None:
        hide(secrets_of(url, os.environ))  # the exporter logs URLs and headers that do not work
        self._provider = TracerProvider(
            sampler=ParentBased(TraceIdRatioBased(share)),
            resource=Resource.create({SERVICE_NAME: "firstsight"}),
            shutdown_on_exit=False,  # `close` does it
        )
        exporter = OTLPSpanExporter(endpoint=url, timeout=TIMEOUT_S)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("firstsight")
        self._propagator = TraceContextTextMapPropagator()

    def begin(self, traceparent: bytes | None) -> "RecordedRequest | None":
        """Begin the span of a request, which goes on from its caller's; None: it is not recorded.

        traceparent: as W3C writes it; what is no such header is left alone.
        """
        carrier = {} if traceparent is None else {"traceparent": traceparent.decode("latin-1")}
        parent = self._propagator.extract(carrier)
        span = self._tracer.start_span("request", parent, SpanKind.SERVER)
        return RecordedRequest(self._tracer, span) if span.is_recording() else None

    def close(self) -> None:
        """Send what waits, and end; for a thread, since it waits for the collector."""
        self._provider.shutdown()


def secrets_of(url: str, environ: Mapping[str, str]) -> set[str]:
    """Return what a collector knows its callers by: in its URL, and in the headers for it."""
    parts = urlsplit(url)
    login = parts.netloc.rpartition("@")[0]
    values = [text for _, text in parse_qsl(parts.query)]
    secrets = {login, parts.password or "", parts.query, *values}
    for name in HEADERS:
        for header in environ.get(name, "").split(","):
            _, equals, value = header.partition("=")
            text = unquote(value if equals else header).strip()  # what is no header is logged too
            secrets |= {text, text.rpartition(" ")[2]}  # `Bearer` is none
    return secrets | {quote(one) for one in secrets} | {unquote(one) for one in secrets}


class Recorded:
    """A span that is recorded, with the stages below it."""

    def __init__(self, tracer: Tracer, span: Span, ahead_ns: int) -> None:
        self._tracer = tracer
        self._span = span
        self._context = set_span_in_context(span)
        self._ahead_ns = ahead_ns

    def stage(self, name: str, begun_s: float, ended_s: float) -> None:
        """Record a stage that has ended; moments are of the performance counter."""
        begun_ns = int(begun_s * 1e9) + self._ahead_ns
        span = self._tracer.start_span(name, self._context, start_time=begun_ns)
        span.end(int(ended_s * 1e9) + self._ahead_ns)


class RecordedRequest(Recorded):
    """The span of a request."""

    def __init__(self, tracer: Tracer, span: Span) -> None:
        super().__init__(tracer, span, time.time_ns() - time.perf_counter_ns())
        self._tokens: Tokens = (recorded.set(self), recorded_request.set(self))

    def end(self, method: str, route: str, status: int) -> None:
        """End it."""
        for_stages, for_request = self._tokens
        recorded.reset(for_stages)
        recorded_request.reset(for_request)
        known = method if method in METHODS else "_OTHER"
        self._span.update_name(f"{known} {route}")
        self._span.set_attribute("http.request.method", known)
        self._span.set_attribute("http.route", route)
        self._span.set_attribute("http.response.status_code", status)
        if status >= 500:
            self._span.set_status(Status(StatusCode.ERROR))
        self._span.end()

    @contextmanager
    def batch(self, others: Sequence[RequestTrace], recalls: int, version: str) -> Iterator[None]:
        """Record a batch while it runs.

        A span has one parent, so that of a batch stands below the first of its requests that is
        recorded, and links to the others, as they link to it.
        """
        known = [one for one in others if isinstance(one, RecordedRequest) and one is not self]
        links = [Link(one._span.get_span_context()) for one in known]
        facts: dict[str, AttributeValue] = {
            "firstsight.recalls": recalls,
            "firstsight.version": version,
        }
        span = self._tracer.start_span("batch", self._context, SpanKind.INTERNAL, facts, links)
        for one in known:
            one._link(span)
        token = recorded.set(Recorded(self._tracer, span, self._ahead_ns))
        try:
            yield
        except BaseException:
            span.set_status(Status(StatusCode.ERROR))
            raise
        finally:
            recorded.reset(token)
            span.end()

    def _link(self, batch: Span) -> None:
        if self._span.is_recording():  # it may have been given up meanwhile
            self._span.add_link(batch.get_span_context())
