"""Clients that recall at a steady rate, and note how they were answered and how soon."""

import http.client
import json
import threading
import time
from typing import Self

import numpy as np

from benchmarks.soak.catalogue import DIM, FEATURE
from benchmarks.soak.ledger import Ledger
from benchmarks.soak.usage import pause_until
from benchmarks.soak.writers import TIMEOUT_S


class Readers:
    """So many clients on kept connections, each `rate` times a second, while the block runs.

    Times count from when a request was due, so that a stall counts in full.
    """

    def __init__(self, port: int, ledger: Ledger, count: int, rate: float, seed: int) -> None:
        self._port = port
        self._ledger = ledger
        self._period_s = 1 / rate
        self._ends = threading.Event()
        self.seconds: list[float] = []
        self._threads = [
            threading.Thread(target=self._run, args=(seed + number,), daemon=True)
            for number in range(count)
        ]

    def _run(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        line = http.client.HTTPConnection("127.0.0.1", self._port, timeout=TIMEOUT_S)
        due_s = time.monotonic()
        while not self._ends.is_set():
            body = {"user": {FEATURE: rng.standard_normal(DIM).tolist()}}
            pause_until(due_s)
            try:
                line.request(
                    "POST", "/recall", json.dumps(body), {"Content-Type": "application/json"}
                )
                answer = line.getresponse()
                answer.read()
                self._ledger.answered(f"recall {answer.status}")
            except (OSError, http.client.HTTPException) as error:
                line.close()
                self._ledger.answered(f"recall {type(error).__name__}")
            self.seconds.append(time.monotonic() - due_s)
            due_s = max(due_s + self._period_s, time.monotonic() - 1.0)
        line.close()

    def at(self, share: float) -> float:
        """Return the time (ms) within which this share of recalls was answered."""
        return round(1000 * float(np.quantile(self.seconds, share)), 1)

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ends.set()
        for thread in self._threads:
            thread.join()
