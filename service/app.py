"""The application: the one place where the parts of a serving process are wired together."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, NoReturn

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from export.contract.errors import RecordError
from service.duties.growth import GrowthDuty
from service.duties.recall_monitor import RecallMonitor
from service.duties.reconcile import Reconciler
from service.duties.watch import look, show, watch
from service.errors import Problem, answer_error
from service.follower import Follower
from service.http.admission import Admission
from service.http.direct import Direct
from service.http.guard import Guard
from service.http.layers import Admitted, Limited, Observed
from service.http.openapi import API_VERSION, TITLE, document
from service.keys.ring import KeyRing
from service.parts import Parts
from service.processes.control import WorkerControl
from service.processes.loaded import Loaded
from service.routes import add_routes, answer_unrouted
from service.serving import Serving
from service.settings import Settings
from service.snapshot.duty import SnapshotDuty
from service.store import Link, StoreUnavailable
from service.store.task import end
from service.stores import open_store
from service.use_cases import UseCases, wire

if TYPE_CHECKING:
    from fastapi.telemetry import TelemetryConfig

    from service.tracing import Tracing

LOOK_S = 0.1

NO_TELEMETRY: "TelemetryConfig" = {
    "tracing": False,
    "metrics": False,
    "logs": False,
    "auto_configure": False,
}
"""FastAPI's own names paths and queries, and so users; an older one has none, and ignores it."""


def create_app(
    settings: Settings,
    loaded: Loaded | None,
    link: Link | None = None,
    control: WorkerControl | None = None,
    admission: Admission | None = None,
) -> ASGIApp:
    """Return the ASGI application of one process.

    Args:
        settings: As the command read them.
        loaded: What is served; None while there is no bundle.
        link: The way to Redis, which ends with the application; None where there is no bundle.
        control: Says when this process must leave, and can ask for another in its place.
        admission: What the server refuses by, too; None where that leaves it to the application.

    Its sessions are opened here, so a process that forks creates it after the fork. The item log
    is followed from the lifespan's start on, and requests are let in once it is caught up with,
    or at once if the store does not answer.

    """
    serving, monitor = None, RecallMonitor.of(settings)
    if loaded is not None and link is not None:
        versions = loaded.generations.items()
        stores = {version: open_store(settings, one, link) for version, one in versions}
        serving = Serving(loaded, wire(settings, loaded, stores, monitor))
    parts = Parts(settings, control or WorkerControl.alone(), link, serving)
    ring = KeyRing(settings)
    tracing = open_tracing(settings)
    app = FastAPI(
        title=TITLE,
        version=API_VERSION,
        docs_url=None,  # ours needs no script from elsewhere
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lambda _: _serve(parts, monitor, ring, tracing),
        telemetry=NO_TELEMETRY,
        exception_handlers={
            Problem: answer_error,
            RecordError: answer_error,
            StoreUnavailable: answer_error,
            HTTPException: answer_unrouted,
            Exception: answer_error,
        },
    )
    app.openapi = document  # type: ignore[method-assign]  # FastAPI's way to extend it
    guard = Guard(settings, ring)
    add_routes(app, guard)
    app.state.parts, app.state.guard = parts, guard
    observed = Observed(Limited(Direct(app), settings.limits), tracing)
    return Admitted(observed, admission or Admission(settings.limits))


def open_tracing(settings: Settings) -> "Tracing | None":
    """Return what records traces; None: nobody asks for them, and nothing of theirs is imported."""
    if settings.traces_url is None:
        return None
    from service.tracing import Tracing

    return Tracing(settings.traces_url, settings.traces_share)


@contextlib.asynccontextmanager
async def _serve(
    parts: Parts, monitor: RecallMonitor | None, ring: KeyRing, tracing: "Tracing | None"
) -> AsyncIterator[None]:
    """Follow the item log and keep watch, from before the first request to after the last."""
    versions = [] if parts.serving is None else parts.serving.all
    for cases in versions:
        cases.follower.start()
    if parts.link is not None:
        await _catch_up([cases.follower for cases in versions], parts.link, parts.settings)
        if any(cases.follower.is_current for cases in versions):
            await look(parts.link)
    show(parts)
    watching = asyncio.create_task(watch(parts))
    looking = asyncio.create_task(ring.watch()) if ring.asks else None
    monitoring = None if monitor is None else asyncio.create_task(monitor.run())
    loaded = [cases.version for cases in versions]
    turn = asyncio.Lock()
    duties = [_begin_duties(parts.settings, cases, loaded, turn) for cases in versions]
    try:
        yield
    finally:
        await end(watching)
        await end(looking)
        await end(monitoring)
        for cases, (snapshots, *tasks) in zip(versions, duties, strict=True):
            for task in tasks:
                await end(task)
            await cases.follower.stop()
            await snapshots.stop(is_replaced=parts.control.is_replaced)
        if parts.link is not None:
            await parts.link.close()
        if tracing is not None:
            await asyncio.to_thread(tracing.close)


def _begin_duties(
    settings: Settings, cases: UseCases, loaded: Sequence[str], turn: asyncio.Lock
) -> "tuple[SnapshotDuty, asyncio.Task[NoReturn], asyncio.Task[NoReturn]]":
    """Begin what a replica does beside its requests: write snapshots, reconcile, and grow."""
    snapshots = SnapshotDuty(settings, cases.generation, cases.follower, cases.store, loaded)
    snapshots.start()
    reconciler = Reconciler(cases.generation, cases.store, cases.intake, cases.follower)
    growing = asyncio.create_task(GrowthDuty(cases.generation, turn).run())
    return snapshots, asyncio.create_task(reconciler.run(settings.reconcile_s)), growing


async def _catch_up(followers: Sequence[Follower], link: Link, settings: Settings) -> None:
    """Wait until the stored items are served, unless the store does not answer."""
    with contextlib.suppress(TimeoutError, StoreUnavailable):
        async with asyncio.timeout(settings.catch_up_s):
            for follower in followers:
                while not await follower.loaded(LOOK_S):
                    await link.ping()
