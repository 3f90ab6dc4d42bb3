"""The calls that tell of the service itself."""

from service import errors, payloads
from service.http.examples import NOT_READY, READY, VERSION
from service.http.operations.base import AT_ONCE, Answer, Operation

PROBES = (
    Operation(
        "GET",
        "/version",
        "version",
        "What is served",
        "The bundle, where it comes from, and the features it understands.",
        {200: Answer("The version.", (payloads.VersionAnswer,), {"version": VERSION})},
        (*AT_ONCE, errors.NotReady),
        needs="recall",
    ),
    Operation(
        "GET",
        "/livez",
        "livez",
        "Is the process alive",
        "200 as long as the event loop turns.",
        {200: Answer("Alive.", (payloads.LiveAnswer,), {"alive": {"state": "alive"}})},
        needs=None,
    ),
    Operation(
        "GET",
        "/readyz",
        "readyz",
        "Should requests come here",
        "200 in the states `ready` and `degraded` (the store does not answer; recalls go on), "
        "503 in all others.",
        {
            200: Answer("Yes.", (payloads.ReadyAnswer,), {"ready": READY}),
            503: Answer("No, or not yet.", (payloads.ReadyAnswer,), {"loading": NOT_READY}),
        },
        needs=None,
    ),
    Operation(
        "GET",
        "/metrics",
        "metrics",
        "Metrics for Prometheus",
        "The same from every worker.",
        {200: Answer("Prometheus text.", media="text/plain")},
        needs=None,
    ),
    Operation(
        "GET",
        "/openapi.json",
        "openapi",
        "This description",
        "OpenAPI 3.1.",
        {200: Answer("The document.", media="application/json")},
        AT_ONCE,
        needs=None,
    ),
    Operation(
        "GET",
        "/docs",
        "docs",
        "This description, to read",
        "One page without scripts; each problem's `type` points into it.",
        {200: Answer("The page.", media="text/html")},
        AT_ONCE,
        needs=None,
    ),
)
