"""The application: the one place where the parts of a serving process are wired together."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from export.contract.errors import RecordError
from export.embedder import Embedder
from export.ranker import open_ranker
from service.control import WorkerControl
from service.embed import Embed
from service.errors import Problem, answer_error
from service.generation import Generation
from service.items import Items
from service.layers import EncodedPath, Limited, Observed
from service.observe import PUBLISH_TO_SEARCHABLE
from service.openapi import API_VERSION, TITLE, document
from service.parts import Parts, UseCases
from service.ranking import Ranking
from service.recall import Recaller
from service.refresh import Follower
from service.routes import add_routes, answer_unrouted
from service.settings import Settings
from service.similar import Similar
from service.store import Store, StoreUnavailable
from service.users import Users
from service.watch import show, watch

LOOK_S = 0.1


def create_app(
    settings: Settings,
    generation: Generation | None,
    store: Store | None,
    control: WorkerControl | None = None,
) -> ASGIApp:
    """Return the ASGI application of one process.

    Args:
        settings: As the command read them.
        generation: What is served; None while there is no bundle.
        store: Redis, read with the schema of the generation; None where that is None.
        control: Says when this process must leave, and can ask for another in its place.

    Its sessions are opened here, so a process that forks creates it after the fork. The item log
    is followed from the lifespan's start on, and requests are let in once it is caught up with,
    or at once if the store does not answer.

    """
    parts = Parts(settings, control or WorkerControl.alone(), _wire(settings, generation, store))
    app = FastAPI(
        title=TITLE,
        version=API_VERSION,
        docs_url=None,  # ours needs no script from elsewhere
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lambda _: _serving(parts, store),
        exception_handlers={
            Problem: answer_error,
            RecordError: answer_error,
            StoreUnavailable: answer_error,
            HTTPException: answer_unrouted,
            Exception: answer_error,
        },
    )
    app.openapi = document  # type: ignore[method-assign]  # FastAPI's way to extend it
    add_routes(app)
    app.state.parts = parts
    return Observed(Limited(EncodedPath(app), settings.limits))


@contextlib.asynccontextmanager
async def _serving(parts: Parts, store: Store | None) -> AsyncIterator[None]:
    """Follow the item log and keep watch, from before the first request to after the last."""
    follower = None if parts.use_cases is None else parts.use_cases.follower
    if follower is not None and store is not None:
        follower.start()
        await _catch_up(follower, store, parts.settings.catch_up_s)
    if parts.use_cases is not None:
        show(parts.use_cases)
    watching = asyncio.create_task(watch(parts))
    try:
        yield
    finally:
        watching.cancel()
        if follower is not None and store is not None:
            await follower.stop()
            await store.close()


def _wire(
    settings: Settings, generation: Generation | None, store: Store | None
) -> UseCases | None:
    if generation is None or store is None:
        return None
    embedder = Embedder.open(generation.bundle.layout, generation.schema)
    follower = Follower(store, generation, embedder, on_searchable=PUBLISH_TO_SEARCHABLE.observe)
    items = Items(generation, embedder, store, follower.refresh)
    return UseCases(
        generation=generation,
        recaller=Recaller(generation, embedder, store, follower, settings, _ranking(generation)),
        items=items,
        users=Users(generation.schema, store),
        similar=Similar(generation, items, follower, settings),
        embed=Embed(generation, embedder, settings.limits.history),
        follower=follower,
    )


def _ranking(generation: Generation) -> Ranking | None:
    bundle = generation.bundle
    if bundle.ranker is None:
        return None
    ranker = open_ranker(bundle.layout, bundle.schema, bundle.ranker.facts)
    return Ranking(generation, ranker)


async def _catch_up(follower: Follower, store: Store, timeout_s: float) -> None:
    """Wait until the stored items are served, unless the store does not answer."""
    with contextlib.suppress(TimeoutError, StoreUnavailable):
        async with asyncio.timeout(timeout_s):
            while not await follower.loaded(LOOK_S):
                await store.ping()
