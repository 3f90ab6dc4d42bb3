"""Holds what was noted of a run against what must never happen."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from benchmarks.gateway.events import Event, Timeline
from benchmarks.rollout.latency import summary
from benchmarks.rollout.notes import Noted, Notes
from benchmarks.rollout.records import record
from service.rollout.pointer import version_for
from tests.end_to_end.processes import Served

OF_A_USER = ("recall", "stranger")
SHOWN = 10
POSSIBLE = tuple[int | None, ...]
"""All that may be there: an edition, None for nothing."""


def is_good(noted: Noted) -> bool:
    """Say whether a request was answered with 2xx in time."""
    return bool(200 <= noted["status"] < 300)


def failed(notes: Notes) -> tuple[list[Noted], list[Noted]]:
    """Return the idempotent requests that failed, and the others (POST), without their answers."""
    bad = [{k: v for k, v in one.items() if k != "answer"} for one in notes.all if not is_good(one)]
    sides: tuple[list[Noted], list[Noted]] = ([], [])
    for one in sorted(bad, key=lambda one: float(one["sent"])):
        sides[one["method"] == "POST"].append(one)
    return sides


def mixed(notes: Notes, timeline: Timeline) -> list[str]:
    """Tell of answers of a version that could not serve whom they are for, at that time."""
    told = []
    for one in notes.all:
        if "version" in one:
            user = one["user"] if one["is"] in OF_A_USER else None
            allowed = timeline.allowed(one["sent"], one["came"], user)
            if one["version"] not in allowed:
                told.append(f"{one['is']} of {user} is of {one['version']}, not of {allowed}")
    return told


def changed(notes: Notes, timeline: Timeline) -> list[str]:
    """Tell of users whose version changed between two recalls while no replica followed a pointer.

    While replicas follow one, one after the other, it may: `flipped` counts that.
    """
    follows = [span for span in timeline.spans if len(span.pointers) > 1]
    told = []
    for user, recalls in _by_user(notes).items():
        for one, other in pairwise(recalls):
            began, ended = one["sent"], max(one["came"], other["came"])
            is_followed = any(span.began <= ended and began < span.ended for span in follows)
            if one["version"] != other["version"] and not is_followed:
                told.append(f"{user} went from {one['version']} to {other['version']} for nothing")
    return told


def flipped(notes: Notes, timeline: Timeline) -> int:
    """Count users whose version changed more often than the pointer changed it for them."""
    pointers = [span.pointers[-1] for span in timeline.spans]
    return sum(
        _changes([one["version"] for one in recalls])
        > _changes([version_for(one, user) for one in pointers])
        for user, recalls in _by_user(notes).items()
    )


def _by_user(notes: Notes) -> Mapping[str, Sequence[Noted]]:
    """Return the recalls of each user that were answered, as they were sent."""
    had: dict[str, list[Noted]] = defaultdict(list)
    for one in sorted(notes.recalls, key=lambda one: float(one["sent"])):
        if is_good(one):
            had[one["user"]].append(one)
    return had


def _changes(versions: Sequence[str]) -> int:
    return sum(one != other for one, other in pairwise(versions))


def latencies(notes: Notes, events: Sequence[Event]) -> list[dict[str, Any]]:
    """Return a row for the time before the events, for each of them, between them, and after (ms).

    A request counts where it was due, and from then on. Of each row: all requests, the p99 of
    recalls and of writes alone, and how many recalls were degraded.
    """
    due = np.array([one["due"] for one in notes.all])
    took_ms = 1000 * np.array([one["took"] for one in notes.all])
    is_recall = np.array([one["is"] in OF_A_USER for one in notes.all])
    is_degraded = np.array([one.get("is_degraded", False) for one in notes.all])
    is_write = np.array([one["method"] != "GET" for one in notes.all])
    begin, end = events[0].began, events[-1].ended
    is_between = (due >= begin) & (due < end)
    rows = []

    def add(name: str, of: Any) -> None:
        row = {"when": name, **summary(took_ms[of])}
        for sort, is_sort in (("recalls", is_recall), ("writes", is_write)):
            row[f"p99_of_{sort}_ms"] = summary(took_ms[of & is_sort]).get("p99_ms")
        rows.append(row | {"degraded": int((of & is_degraded).sum())})

    add("before", due < begin)
    for event in events:
        in_it = (due >= event.began) & (due < event.ended)
        is_between &= ~in_it
        add(event.name, in_it)
    add("between them", is_between)
    add("after", due >= end)
    return rows


def possible(noted: Iterable[Noted]) -> dict[str, POSSIBLE]:
    """Return of each id what it may be: the last acknowledged edition, and what came unanswered."""
    found: dict[str, POSSIBLE] = {}
    for one in sorted(noted, key=lambda one: float(one["sent"])):
        if is_good(one):
            found[one["id"]] = (one["edition"],)
        else:
            # An item of the catalogue is there without a write; new ones and users are not.
            first = 0 if one["id"].startswith("i") else None
            found[one["id"]] = (*found.get(one["id"], (first,)), one["edition"])
    return found


def users_amiss(served: Served, notes: Notes, clusters: int) -> list[str]:
    """Tell of users that the load stored or erased and that are not so."""
    written = possible(one for one in notes.others if "edition" in one)
    return _amiss(served, "users", written, clusters)


def unsure_items(
    served: Served, notes: Notes, clusters: int
) -> tuple[Mapping[str, int], list[str]]:
    """Return how many items have their last write that was not acknowledged, and what is amiss.

    Such a write was made or was not: what is there is one of the two, and whole.
    """
    unsure = {one: of for one, of in possible(notes.writes).items() if len(of) > 1}
    amiss = _amiss(served, "items", unsure, clusters)
    made = sum(_is_there(served, "items", one, of[-1], clusters) for one, of in unsure.items())
    return {"written": made, "not written": len(unsure) - made}, amiss


def _amiss(served: Served, side: str, written: Mapping[str, POSSIBLE], clusters: int) -> list[str]:
    return [
        f"{side} {one} is none of the editions {editions}"
        for one, editions in written.items()
        if not any(_is_there(served, side, one, edition, clusters) for edition in editions)
    ]


def _is_there(served: Served, side: str, one: str, edition: int | None, clusters: int) -> bool:
    status, answer = served.ask("GET", f"/{side}/{one}")
    if edition is None or status != 200:
        return edition is None and status == 404
    expected = record(one, edition, clusters)
    return all(answer["record"].get(name) == value for name, value in expected.items())


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows as a Markdown table."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    lines = ["| " + " | ".join(names) + " |", "|---" * len(names) + "|"]
    lines += ["| " + " | ".join(str(row.get(name, "")) for name in names) + " |" for row in rows]
    return "\n".join(lines)
