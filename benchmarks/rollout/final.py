"""What every acknowledged write has come to in the end: put items are served, removed ones not."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any

from benchmarks.rollout.notes import Notes, Write
from benchmarks.rollout.records import record
from service.commands.client import Client, ServiceFailed
from tests.end_to_end.processes import Served

BATCH = 64
NEAR = 50
AT_ONCE = 4


@dataclass
class Final:
    """What was looked for in the version that serves in the end, and what was amiss.

    unsure: items whose last write was not acknowledged; they may be so or so.
    missing: put, and not served or not as put; lost: served, and no recall finds it.
    risen: removed, and served or recalled.
    """

    version: str
    put: int = 0
    removed: int = 0
    unsure: int = 0
    missing: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    risen: list[str] = field(default_factory=list)

    def figures(self) -> dict[str, Any]:
        """Return the counts, and the first of what is amiss."""
        told = asdict(self)
        return {name: v[:10] if isinstance(v, list) else v for name, v in told.items()}


def look(served: Served, notes: Notes, version: str, clusters: int) -> Final:
    """Ask for every item that was written."""
    final = Final(version)
    last = {one: history[-1] for one, history in notes.histories.items()}
    sure = {one: state for one, state in last.items() if state.log_id is not None}
    final.unsure = len(last) - len(sure)
    final.put = sum(state.edition is not None for state in sure.values())
    final.removed = len(sure) - final.put
    with Client(f"http://127.0.0.1:{served.port}") as client, ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda one: _look_at(client, final, one, sure[one], clusters), sure))
        ids = list(sure)
        for start in range(0, len(ids), BATCH):
            part = {one: notes.history(one) for one in ids[start : start + BATCH]}
            _recall(client, final, part, clusters)
    return final


def _look_at(client: Client, final: Final, one: str, state: Write, clusters: int) -> None:
    try:
        told = client.call("GET", f"/items/{one}")
    except ServiceFailed as error:
        if error.status != 404:
            raise
        if state.edition is not None:
            final.missing.append(one)
        return
    if state.edition is None:
        final.risen.append(one)
    elif told["version"] != final.version or not _is_record(told, one, state, clusters):
        final.missing.append(one)


def _is_record(told: dict[str, Any], one: str, state: Write, clusters: int) -> bool:
    expected = record(one, state.edition or 0, clusters)
    got = told["record"]
    return all(got.get(name) == value for name, value in expected.items())


def _recall(client: Client, final: Final, histories: dict[str, list[Write]], clusters: int) -> None:
    """Recall for users who are like the items: their own item is their nearest."""
    asked = [
        {"user": record(one, _last_edition(history), clusters), "k": NEAR}
        for one, history in histories.items()
    ]
    answer = client.call("POST", "/recall/batch", {"requests": asked})
    for (one, history), result in zip(histories.items(), answer["results"], strict=True):
        is_put = history[-1].edition is not None
        is_found = one in result["items"] and result["version"] == final.version
        if is_found and not is_put:
            final.risen.append(one)
        elif is_put and not is_found:
            final.lost.append(one)


def _last_edition(history: list[Write]) -> int:
    """Return the last edition that was put, 0 for an item that was removed before it was."""
    return next((one.edition for one in reversed(history) if one.edition is not None), 0)
