"""What is counted and timed of recalls, cheaply: each child of a metric is looked up once."""

import time
from collections import Counter
from collections.abc import Sequence
from functools import cache

from service.known_user import KnownUser
from service.observe import (
    BATCH_RECALLS,
    DEGRADED,
    RECALL_SECONDS,
    RECALL_WAIT_SECONDS,
    RECALLS,
)

_recalls = cache(lambda state, version: RECALLS.labels(state, version).inc)
_degraded = cache(lambda reason: DEGRADED.labels(reason).inc)
_recall_seconds = cache(lambda state, version: RECALL_SECONDS.labels(state, version).observe)


def note_batch(asked_s: Sequence[float]) -> None:
    """Note that a batch runs now, of recalls that were asked at these moments."""
    BATCH_RECALLS.observe(len(asked_s))
    now_s = time.perf_counter()
    for one in asked_s:
        RECALL_WAIT_SECONDS.observe(now_s - one)


def count_answers(users: Sequence[KnownUser], version: str) -> None:
    """Count the answers of a batch, each state and reason once: a count costs a microsecond."""
    for state, answers in Counter(user.state for user in users).items():
        _recalls(state, version)(answers)
    for reason, answers in Counter(one for user in users for one in user.degraded).items():
        _degraded(reason)(answers)


def count_stale() -> None:
    """Count an answer that its entry of the log came too late for."""
    _degraded("stale")()


def time_recall(state: str, version: str, begun_s: float) -> None:
    """Time a recall that was begun at a moment of the performance counter."""
    _recall_seconds(state, version)(time.perf_counter() - begun_s)
