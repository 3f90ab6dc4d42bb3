"""What must never happen in a run is found where it is planted."""

import math
from types import SimpleNamespace
from typing import Any, cast

import pytest

from benchmarks.gateway.events import Event, Span, Timeline
from benchmarks.gateway.held import changed, failed, flipped, latencies, mixed, possible
from benchmarks.gateway.scenario import Result
from benchmarks.gateway.traffic import Begun
from benchmarks.rollout.notes import Notes
from service.rollout.pointer import Pointer, version_for

V1 = Pointer(1, "v1")
TRIED = Pointer(2, "v1", "v2", 0.5, None)
V2 = Pointer(3, "v2", previous="v1")
TIMELINE = Timeline(
    spans=[
        Span(-math.inf, 10.0, (V1,)),
        Span(10.0, 12.0, (V1, TRIED)),
        Span(12.0, 20.0, (TRIED,)),
        Span(20.0, 22.0, (TRIED, V2)),
        Span(22.0, math.inf, (V2,)),
    ]
)
IN = next(f"u{n}" for n in range(100) if version_for(TRIED, f"u{n}") == "v2")
OUT = next(f"u{n}" for n in range(100) if version_for(TRIED, f"u{n}") == "v1")


def recall(sent: float, version: str, user: str = IN, **more: Any) -> dict[str, Any]:
    told = {"is": "recall", "method": "GET", "status": 200, "version": version, "user": user}
    return told | {"sent": sent, "came": sent + 0.1, "due": sent, "took": 0.1} | more


def other(method: str, status: int, sent: float = 0.0, **more: Any) -> dict[str, Any]:
    told = {"is": "put_user", "method": method, "status": status, "sent": sent, "came": sent}
    return told | {"due": sent, "took": 0.1} | more


@pytest.mark.parametrize(
    ("noted", "is_mixed"),
    [
        (recall(1.0, "v1"), False),
        (recall(1.0, "v2"), True),
        (recall(9.95, "v2"), False),  # it came after the pointer was changed
        (recall(11.0, "v2"), False),
        (recall(11.0, "v1"), False),
        (recall(11.0, "v2", OUT), True),
        (recall(13.0, "v2"), False),
        (recall(13.0, "v1"), True),
        (recall(13.0, "v1", OUT), False),
        (recall(21.0, "v1"), True),  # who tries a version keeps it when it is promoted
        (recall(21.0, "v1", OUT), False),
        (recall(23.0, "v1", OUT), True),
        (recall(13.0, "v2", **{"is": "similar"}), True),  # of the current version
        (recall(13.0, "v1", **{"is": "similar"}), False),
    ],
)
def test_an_answer_is_of_the_version_that_serves_its_user_then(
    noted: dict[str, Any], is_mixed: bool
) -> None:
    assert bool(mixed(Notes(recalls=[noted]), TIMELINE)) == is_mixed


def test_only_a_post_may_fail() -> None:
    good = [other("PUT", 201), other("DELETE", 204), other("GET", 200)]
    bad = [other("PUT", 502), other("GET", 0), other("DELETE", 404), other("GET", 429)]
    idempotent, posts = failed(Notes(others=[*good, *bad, other("POST", 502)]))
    assert [one["status"] for one in idempotent] == [502, 0, 404, 429]
    assert [one["method"] for one in posts] == ["POST"]


@pytest.mark.parametrize(
    ("had", "has_flipped"), [("v1 v1 v2 v2", False), ("v2", False), ("v1 v2 v1 v2", True)]
)
def test_who_changed_more_often_than_the_pointer_is_counted(had: str, has_flipped: bool) -> None:
    recalls = [recall(at, version, OUT) for at, version in enumerate(had.split())]
    assert flipped(Notes(recalls=recalls), TIMELINE) == has_flipped


@pytest.mark.parametrize(
    ("had", "is_for_nothing"),
    [
        ({1.0: "v1", 2.0: "v2"}, True),
        ({1.0: "v1", 2.0: "v1"}, False),
        ({9.8: "v1", 9.95: "v2"}, False),  # it came after the pointer was changed
        ({10.5: "v1", 11.0: "v2", 11.5: "v1", 11.8: "v2"}, False),  # replicas follow
        ({11.9: "v1", 12.5: "v2"}, False),
        ({12.1: "v1", 12.5: "v2"}, True),
        ({9.0: "v1", 13.0: "v2", 23.0: "v2"}, False),
        ({23.0: "v2", 24.0: "v1"}, True),
    ],
)
def test_a_user_changes_only_while_replicas_follow_the_pointer(
    had: dict[float, str], is_for_nothing: bool
) -> None:
    recalls = [recall(at, version) for at, version in had.items()]
    assert bool(changed(Notes(recalls=recalls), TIMELINE)) == is_for_nothing


def test_a_change_for_nothing_fails_the_run() -> None:
    notes = Notes(recalls=[recall(1.0, "v1"), recall(2.0, "v2")])
    verdict = SimpleNamespace(contradictions={})
    begun = Begun(capacity=1.0, rate=1.0, at=0.0)
    result = Result(begun, notes, TIMELINE, cast(Any, verdict), [], [], [])
    assert f"{IN} went from v1 to v2 for nothing" in result.failures


def test_an_item_is_what_was_acknowledged_last_or_came_unanswered_after_it() -> None:
    def write(one: str, edition: int | None, status: int, sent: float) -> dict[str, Any]:
        return other("POST", status, sent, id=one, edition=edition)

    found = possible(
        [
            write("new-1", 2, 200, 2.0),
            write("new-1", 1, 0, 1.0),
            write("new-2", 1, 502, 1.0),
            write("i7", None, 504, 1.0),
            write("i8", None, 204, 1.0),
            write("i8", 1, 0, 2.0),
        ]
    )
    assert found == {"new-1": (2,), "new-2": (None, 1), "i7": (0, None), "i8": (None, 1)}


def test_a_request_counts_where_it_was_due_and_from_then_on() -> None:
    events = [Event("kill", 10.0, 12.0), Event("rollout", 14.0, 16.0)]
    times = {1.0: 0.01, 10.0: 3.0, 11.9: 0.02, 13.0: 0.03, 15.0: 0.04, 16.0: 0.05}
    notes = Notes(
        recalls=[
            recall(due, "v1", took=took) | ({"is_degraded": True} if took > 2 else {})
            for due, took in times.items()
        ],
        writes=[other("POST", 200, 15.5, took=0.06)],
    )
    rows = {row["when"]: row for row in latencies(notes, events)}
    assert {when: row["requests"] for when, row in rows.items()} == {
        "before": 1, "kill": 2, "rollout": 2, "between them": 1, "after": 1
    }  # fmt: skip
    assert rows["kill"]["longest_ms"] == 3000.0
    assert {when: row["degraded"] for when, row in rows.items() if row["degraded"]} == {"kill": 1}
    assert (rows["rollout"]["p99_of_recalls_ms"], rows["rollout"]["p99_of_writes_ms"]) == (40, 60)
    assert rows["before"]["p99_of_writes_ms"] is None
