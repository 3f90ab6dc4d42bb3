"""Stages of what is in work: timed for the metrics, and told to a trace where one is recorded."""

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from contextvars import ContextVar
from typing import Protocol

from service.observe import STAGE_SECONDS

_SECONDS = {stage: STAGE_SECONDS.labels(stage).observe for stage in ("store", "embed", "search")}
_SECONDS["encode"] = STAGE_SECONDS.labels("encode").observe


class Trace(Protocol):
    """What is told of stages; moments are of the performance counter, in seconds."""

    def stage(self, name: str, begun_s: float, ended_s: float, /) -> None:
        """Record a stage that has ended."""


class RequestTrace(Trace, Protocol):
    """The trace of a request, which may share a batch with others."""

    def batch(
        self, others: "Sequence[RequestTrace]", recalls: int, version: str, /
    ) -> AbstractContextManager[None]:
        """Record a batch while it runs: what it is made of is told to it, not to a request."""


recorded: ContextVar[Trace | None] = ContextVar("recorded", default=None)
"""The trace that the stages of a task are told to; None: nothing is recorded."""

recorded_request: ContextVar[RequestTrace | None] = ContextVar("recorded_request", default=None)
"""The trace of the request that a task answers; None: nothing of it is recorded."""


def note_stage(name: str, begun_s: float) -> None:
    """Note a stage of a recall that ends now."""
    ended_s = time.perf_counter()
    _SECONDS[name](ended_s - begun_s)
    trace_stage(name, begun_s, ended_s)


def trace_stage(name: str, begun_s: float, ended_s: float) -> None:
    """Tell the trace of a stage, where one is recorded."""
    if (trace := recorded.get()) is not None:
        trace.stage(name, begun_s, ended_s)
