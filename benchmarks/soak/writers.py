"""Clients that post, patch and delete steadily, and note what was acknowledged."""

import http.client
import json
import random
import threading
import time
from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from benchmarks.soak.catalogue import FEATURE
from benchmarks.soak.ledger import Acknowledged, Ledger, State
from export.embedder import Vectors

TIMEOUT_S = 20.0
NEAR = 0.02
"""The spread of each coordinate about a given place, so that no two items stand in one."""
PAUSE_S = 0.2
"""After a write that failed: each leaves an item alone for good, and a service may be down."""


class Writer(threading.Thread):
    """One client with items of its own, `ids` of which none is there and `live` of which all are.

    New places are near those that are given, float32[n, dim], and no two writes have the same.
    For each removal there is about one new place for an item that is there, and `posts` writes of
    one that is not. An item whose write was not answered is left alone from then on.
    """

    def __init__(
        self,
        port: int,
        ledger: Ledger,
        rng: random.Random,
        rate: float,
        ids: Sequence[str],
        live: Sequence[str],
        posts: int,
        places: Vectors,
    ) -> None:
        super().__init__(daemon=True)
        self._line = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
        self._ledger = ledger
        self._rng = rng
        self._vectors = np.random.default_rng(rng.getrandbits(32))
        self._places = places
        self._period_s = 1 / rate
        self._absent, self._live = list(ids), list(live)
        self._may_go = threading.Event()
        self._may_go.set()
        self._is_idle = threading.Event()
        self._ends = False
        self._kinds = ("post",) * posts + ("update", "delete")

    def run(self) -> None:
        """Write once a period, late ones at once, until told to end."""
        due_s = time.monotonic() + self._rng.random() * self._period_s
        while not self._ends:
            if not self._may_go.is_set():
                self._line.close()  # it would be idle for longer than a server keeps it
                self._is_idle.set()
                self._may_go.wait()
                self._is_idle.clear()
                due_s = time.monotonic()
                continue
            time.sleep(max(0.0, due_s - time.monotonic()))
            due_s = max(due_s + self._period_s, time.monotonic() - 1.0)
            self._write()
        self._is_idle.set()
        self._line.close()

    def pause(self) -> None:
        """Stop writing; returns when nothing is on its way."""
        self._may_go.clear()
        self._is_idle.wait(2 * TIMEOUT_S)

    def go_on(self) -> None:
        """Write again."""
        self._may_go.set()

    def end(self) -> None:
        """Stop for good."""
        self._ends = True
        self._may_go.set()
        self.join(2 * TIMEOUT_S)

    def _write(self) -> None:
        kind = self._rng.choice(self._kinds)
        is_new = bool(self._absent) and (kind == "post" or not self._live)
        pool = self._absent if is_new else self._live
        at = self._rng.randrange(len(pool))
        pool[at], pool[-1] = pool[-1], pool[at]
        one = pool.pop()
        if kind == "delete" and not is_new:
            self._send("DELETE", one, None)
        elif kind == "update" and not is_new and self._rng.random() < 0.5:
            self._send("PATCH", one, self._somewhere())
        else:
            self._send("POST", one, self._somewhere())

    def _somewhere(self) -> Vectors:
        near = self._places[self._rng.randrange(len(self._places))]
        aside = NEAR * self._vectors.standard_normal(len(near))
        return np.asarray(near + aside, np.float32)

    def _send(self, method: str, one: str, place: State) -> None:
        """Write one item and note what became of it."""
        body = None if place is None else json.dumps(self._body(method, one, place))
        path = "/items" if method == "POST" else f"/items/{one}"
        state = None if place is None else place / np.linalg.norm(place)
        try:
            self._line.request(method, path, body, {"Content-Type": "application/json"})
            answer = self._line.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self._line.close()
            self._ledger.answered(type(error).__name__)
            self._ledger.unanswered(one, state)
            time.sleep(PAUSE_S)
            return
        self._ledger.answered(str(answer.status))
        if answer.status not in (200, 201, 204):
            if answer.status < 500:
                self._ledger.fault(f"{method} {path}: {answer.status} {text[:200]!r}")
            self._ledger.unanswered(one, state)
            time.sleep(PAUSE_S)
            return
        if method == "DELETE":
            log_id, is_durable = answer.headers["X-Log-Id"], answer.headers["X-Durable"] == "true"
            self._absent.append(one)
        else:
            told = json.loads(text)
            log_id, is_durable = str(told["log_id"]), bool(told["durable"])
            state = np.array(told["vector"], np.float32)
            self._live.append(one)
        self._ledger.acknowledged(Acknowledged(one, log_id, is_durable), state)

    @staticmethod
    def _body(method: str, one: str, place: Vectors) -> dict[str, Any]:
        features: dict[str, Any] = {FEATURE: place.tolist()}
        return features if method == "PATCH" else {"id": one} | features


class Writers:
    """Several clients, running while the block runs."""

    def __init__(self, made: Sequence[Writer], ledger: Ledger, rate: float) -> None:
        self._made = made
        self._rate = rate
        self.ledger = ledger

    def __enter__(self) -> Self:
        for writer in self._made:
            writer.start()
        return self

    def __exit__(self, *error: object) -> None:
        for writer in self._made:
            writer.end()

    def pause(self) -> None:
        """Have all stop; returns when nothing is on its way."""
        for writer in self._made:
            writer.pause()

    def go_on(self) -> None:
        """Have all write again."""
        for writer in self._made:
            writer.go_on()

    def wait_for_more(self, count: int) -> float:
        """Wait until so many more writes are acknowledged; return how long that took (s).

        A busy machine may take some ten times as long as the rate asks for.

        Raises:
            TimeoutError: They were not in time.

        """
        wanted, begun_s = len(self.ledger.writes) + count, time.monotonic()
        within_s = 60 + 10 * count / self._rate
        while len(self.ledger.writes) < wanted:
            if time.monotonic() - begun_s > within_s:
                raise TimeoutError(f"not {count} writes acknowledged within {within_s:g} s")
            time.sleep(0.005)
        return time.monotonic() - begun_s


def make_writers(
    port: int,
    ledger: Ledger,
    seed: int,
    *,
    clients: int,
    rate: float,
    new: int,
    old: Sequence[str],
    posts: int,
    places: Vectors,
) -> Writers:
    """Return clients that write `rate` times a second together.

    Each has `new` ids that no bundle knows, and its share of the `old` ones, which are there.
    """
    return Writers(
        [
            Writer(
                port,
                ledger,
                random.Random(f"{seed} {client}"),
                rate / clients,
                [f"c{client}-{number}" for number in range(new)],
                old[client::clients],
                posts,
                places,
            )
            for client in range(clients)
        ],
        ledger,
        rate,
    )
