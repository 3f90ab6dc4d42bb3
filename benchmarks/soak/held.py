"""Holds every replica, and Redis, against the ledger."""

import contextlib
import http.client
import itertools
import time
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import redis

from benchmarks.soak.catalogue import FEATURE
from benchmarks.soak.ledger import Ledger
from benchmarks.soak.replicas import Line, line_to, lines
from export.embedder import Vectors
from service.catalogue.checksum import Checksum
from tests.end_to_end.processes import Served

ITEMS, LOG = "{fs}:items", "{fs}:log"
SAME = 0.9999
"""A cosine from which on a recalled item stands where it was acknowledged last."""
NEAR, WIDE = 20, 1000
BATCH = 256
TOLD = 5
"""So many examples of each fault are told."""
ALIKE_S = 90.0
TRIES = 8


def held_to(served: Served, ledger: Ledger, url: str, replicas: int) -> dict[str, Any]:
    """Compare all replicas and Redis with the ledger; faults go there, figures are returned.

    Each worker must recall every acknowledged item at its last place and no removed one, and all
    must tell the checksum of the ids and revs that the acknowledged log entries have.

    Args:
        served: The service, to which nothing is written meanwhile.
        ledger: What it acknowledged.
        url: Its Redis.
        replicas: How many workers there must be.

    """
    for attempt in itertools.count(1):
        try:
            return _compare(served, ledger, url, replicas)
        except (OSError, http.client.HTTPException) as error:  # a handover, or a worker not up yet
            if attempt == TRIES:
                ledger.fault(f"the replicas could not be compared: {error!r}")
                return {}
            time.sleep(1.0)
    raise AssertionError


def _compare(served: Served, ledger: Ledger, url: str, replicas: int) -> dict[str, Any]:
    alike_s = _wait_alike(served, replicas)
    with redis.Redis.from_url(url) as client:
        expected = _oracle(client, ledger)
    found: dict[str, Any] = {
        "replicas": replicas,
        "alike after (s)": round(alike_s, 2),
        "live": len(ledger.live()),
        "removed": len(ledger.removed()),
        "unanswered": len(ledger.uncertain()),
        "lost": 0,
        "back": 0,
    }
    faults: list[str] = []
    each = served.workers()
    if len(each) != replicas:
        raise ConnectionError(f"{len(each)} workers, expected {replicas}")
    for number, worker in enumerate(each):
        with contextlib.closing(line_to(served, worker)) as line:
            lost, back, others = _faults(line, ledger, expected)
        found["lost"], found["back"] = found["lost"] + lost, found["back"] + back
        faults += [f"worker {number}: {what}" for what in others]
    for kind in ("checksum", "not recalled", "and is recalled", "may be"):
        for what in [one for one in faults if kind in one][:TOLD]:
            ledger.fault(what)
    return found


def _faults(line: Line, ledger: Ledger, expected: str) -> tuple[int, int, list[str]]:
    """Return how many items one worker has lost, how many are back, and all that is wrong."""
    told = line.ask("GET", "/readyz")[1]["checksum"]
    missing = _missing(line, ledger.live())
    back = sorted(_present(line, ledger.removed(), NEAR))
    faults = [] if told == expected else [f"checksum {told}, expected {expected}"]
    faults += [f"{one} was acknowledged and is not recalled" for one in missing]
    faults += [f"{one} was removed and is recalled" for one in back]
    return len(missing), len(back), faults + list(_impossible(line, ledger))


def _wait_alike(served: Served, replicas: int) -> float:
    """Wait until all workers are ready and tell one checksum; RuntimeError if they do not."""
    begun_s = time.monotonic()
    told: set[str] = set()
    while time.monotonic() - begun_s < ALIKE_S:
        with contextlib.suppress(OSError, http.client.HTTPException):
            if len(served.workers()) == replicas:
                with lines(served) as each:
                    answers = [line.ask("GET", "/readyz") for line in each]
                told = {body["checksum"] for _, body in answers}
                if all(body["state"] == "ready" for _, body in answers) and len(told) == 1:
                    return time.monotonic() - begun_s
        time.sleep(0.2)
    raise RuntimeError(f"workers are not ready and alike within {ALIKE_S:g} s: {sorted(told)}")


def _oracle(client: redis.Redis, ledger: Ledger) -> str:
    """Return the checksum of the acknowledged ids and revs; unanswered ones as Redis has them.

    The rev of an acknowledged write is that of its log entry, or, where the entry went with a
    Redis that was lost, of the item as it was announced again.
    """
    stored = {one.decode(): int(rev) for one, rev in client.zscan_iter(ITEMS, count=1000)}
    logged = {at: int(entry[b"rev"]) for at, entry in logged_in(client).items()}
    sum_ = Checksum()
    strays = stored.keys() - ledger.items.keys()
    for one in sorted(strays)[:TOLD]:
        ledger.fault(f"Redis holds {one}, which nobody wrote")
    lacking = []
    for one, held in ledger.items.items():
        if held.is_certain and held.log_id:
            rev = logged.get(held.log_id, stored.get(one))
            if rev is None or one not in stored:
                lacking.append(one)
            else:
                sum_.add(one, rev)
        elif one in stored:
            sum_.add(one, stored[one])
    for one in lacking[:TOLD]:
        ledger.fault(f"Redis does not hold {one}, which was acknowledged")
    return str(sum_)


def logged_in(client: redis.Redis) -> dict[str, dict[bytes, bytes]]:
    """Return all entries of the item log by their ids."""
    entries: Any = client.xrange(LOG)
    return {at.decode(): entry for at, entry in entries}


def _missing(line: Line, items: Mapping[str, Vectors]) -> list[str]:
    """Return the items that a recall from where they are does not find there, however wide."""
    for k in (NEAR, WIDE):
        found = _present(line, items, k)
        items = {one: vector for one, vector in items.items() if one not in found}
    return sorted(items)


def _present(line: Line, items: Mapping[str, Vectors], k: int) -> set[str]:
    """Return the items that recalls from where they are find there."""
    found = set()
    for batch in _batches(items):
        requests = [{"user": {FEATURE: vector.tolist()}, "k": k} for _, vector in batch]
        status, answer = line.ask("POST", "/recall/batch", {"requests": requests})
        if status != 200:
            raise ConnectionError(f"recall/batch: {status} {answer}")
        for (one, _), result in zip(batch, answer["results"], strict=True):
            places = dict(zip(result["items"], result["scores"], strict=True))
            if places.get(one, -1.0) >= SAME:
                found.add(one)
    return found


def _impossible(line: Line, ledger: Ledger) -> Iterator[str]:
    """Tell of unanswered items that are in no state that they may be in."""
    for one, states in ledger.uncertain().items():
        status, answer = line.ask("GET", f"/items/{one}")
        vector = np.array(answer["vector"], np.float32) if status == 200 else None
        if not any(_is_same(vector, state) for state in states):
            yield f"{one} is {status}, and may be in one of {len(states)} other states"


def _is_same(one: Vectors | None, other: Vectors | None) -> bool:
    if one is None or other is None:
        return one is other
    return bool(one @ other >= SAME)


def _batches(items: Mapping[str, Vectors]) -> Iterator[list[tuple[str, Vectors]]]:
    pairs = iter(items.items())
    while batch := list(itertools.islice(pairs, BATCH)):
        yield batch
