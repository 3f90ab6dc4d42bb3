"""Endpoints: each reads its request, asks a use case, and writes the answer; no decisions."""

import asyncio
from functools import partial
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse
from starlette.exceptions import HTTPException
from starlette.routing import Match, Route

from service.errors import (
    InvalidRecord,
    MethodNotAllowed,
    PreconditionFailed,
    Problem,
    UnknownItem,
    UnknownRoute,
    UnknownUser,
    answer,
)
from service.http.answers import (
    JSON,
    batch_answer,
    embed_answer,
    item_answer,
    json_answer,
    posted_answer,
    recall_batch_answer,
    user_answer,
    version_answer,
)
from service.http.audit import note_ids
from service.http.bodies import read_batch, read_embed_body, read_object, read_recall_body
from service.http.docs_page import docs_page
from service.http.guard import Guard
from service.http.http_date import unmodified_since
from service.http.openapi import document
from service.http.operations import OPERATIONS
from service.http.query import path_id, read_recall_query, read_similar_query, read_switch
from service.http.request_id import request_id
from service.observe import CONTENT_TYPE_LATEST, exposition
from service.parts import Parts
from service.recall_batch import recall_batch as answer_batch
from service.recall_batch import recall_one
from service.rollout_routes import activate_bundle, list_bundles, roll_back
from service.store import Kept


def parts_of(request: Request) -> Parts:
    """Return the parts of this process."""
    parts: Parts = request.app.state.parts
    return parts


def without_id(body: dict[str, Any], one: str) -> dict[str, Any]:
    """Return a record without its id, which stands in the path and may be repeated.

    Raises:
        InvalidRecord: The body says another id.

    """
    if body.get("id", one) != one:
        raise InvalidRecord.of("id", body["id"], f"{one!r}, as in the path, or none")
    return {name: value for name, value in body.items() if name != "id"}


def id_of(request: Request) -> str:
    """Return the id in the path."""
    return path_id(request.path_params["id"])


async def recall(request: Request) -> Response:
    """`GET /recall`."""
    parts = parts_of(request)
    serving = parts.ready()
    body = read_recall_query(request.scope["query_string"], parts.settings.limits)
    recalled = await recall_one(request, serving, body, parts.settings, from_query=True)
    return Response(recalled.encode(request_id()), media_type=JSON)


async def recall_with(request: Request) -> Response:
    """`POST /recall`."""
    parts = parts_of(request)
    serving, limits = parts.ready(), parts.settings.limits
    body = read_recall_body(await read_object(request, limits), limits)
    recalled = await recall_one(request, serving, body, parts.settings, from_query=False)
    return Response(recalled.encode(request_id()), media_type=JSON)


async def recall_batch(request: Request) -> Response:
    """`POST /recall/batch`."""
    parts = parts_of(request)
    serving = parts.ready()
    body = await read_object(request, parts.settings.limits)
    bodies = read_batch(body, "requests", parts.settings.limits.requests)
    answers = await answer_batch(request, serving, bodies, parts.settings)
    return await recall_batch_answer(answers)


async def post_items(request: Request) -> Response:
    """`POST /items`: one item, or a batch where the body has `items`."""
    parts = parts_of(request)
    cases = parts.ready().current
    with_vector = read_switch(request.scope["query_string"], "vector", default=True)
    body = await read_object(request, parts.settings.limits)
    note = partial(note_ids, request)
    if "items" in body:
        posted = read_batch(body, "items", parts.settings.limits.items)
        return batch_answer(await cases.items.post(posted, note), with_vector=with_vector)
    [outcome] = await cases.items.post([body], note)
    return posted_answer(outcome, with_vector=with_vector)


async def get_item(request: Request) -> Response:
    """`GET /items/{id}`."""
    one = id_of(request)
    item = parts_of(request).ready().current.items.get(one)
    if item is None:
        raise UnknownItem(one)
    return item_answer(item)


async def patch_item(request: Request) -> Response:
    """`PATCH /items/{id}`."""
    parts = parts_of(request)
    cases, one = parts.ready().current, id_of(request)
    with_vector = read_switch(request.scope["query_string"], "vector", default=True)
    patch = without_id(await read_object(request, parts.settings.limits), one)
    return posted_answer(await cases.items.patch(one, patch), with_vector=with_vector)


async def delete_item(request: Request) -> Response:
    """`DELETE /items/{id}`."""
    written = await parts_of(request).ready().current.items.delete(id_of(request))
    durable = "true" if written.fault is None else "false"
    return Response(
        status_code=204, headers={"X-Log-Id": str(written.log_id), "X-Durable": durable}
    )


async def similar(request: Request) -> Response:
    """`GET /items/{id}/similar`."""
    parts = parts_of(request)
    cases, one = parts.ready().current, id_of(request)
    asked = read_similar_query(request.scope["query_string"], parts.settings.limits)
    near = await cases.similar.similar(one, asked)
    if near is None:
        raise UnknownItem(one)
    return Response(near.encode(request_id()), media_type=JSON)


async def embed(request: Request) -> Response:
    """`POST /embed`."""
    parts = parts_of(request)
    cases = parts.ready().current
    body = await read_object(request, parts.settings.limits)
    sides = read_embed_body(body, parts.settings.limits.items)
    done = {side: await cases.embed.embed(side, records) for side, records in sides.items()}
    return embed_answer(cases.generation.version, done)


async def get_user(request: Request) -> Response:
    """`GET /users/{id}`."""
    one = id_of(request)
    user = await parts_of(request).ready().current.users.get(one)
    if user is None:
        raise UnknownUser(one)
    return user_answer(user)


async def put_user(request: Request) -> Response:
    """`PUT /users/{id}`."""
    parts = parts_of(request)
    cases, one = parts.ready().current, id_of(request)
    features = without_id(await read_object(request, parts.settings.limits), one)
    since_s = unmodified_since(request.headers.getlist("if-unmodified-since"))
    try:
        user, created = await cases.users.put(features | {"id": one}, unmodified_since_s=since_s)
    except Kept as kept:
        raise PreconditionFailed(one, kept.reason, kept.at_s) from None
    return user_answer(user, 201 if created else 200)


async def patch_user(request: Request) -> Response:
    """`PATCH /users/{id}`."""
    parts = parts_of(request)
    cases, one = parts.ready().current, id_of(request)
    patch = without_id(await read_object(request, parts.settings.limits), one)
    user, created = await cases.users.patch(one, patch)
    return user_answer(user, 201 if created else 200)


async def delete_user(request: Request) -> Response:
    """`DELETE /users/{id}`."""
    await parts_of(request).ready().current.users.delete(id_of(request))
    return Response(status_code=204)


async def version(request: Request) -> Response:
    """`GET /version`."""
    return version_answer(parts_of(request).ready())


async def livez(request: Request) -> Response:
    """`GET /livez`."""
    del request
    return json_answer({"state": "alive"})


async def readyz(request: Request) -> Response:
    """`GET /readyz`."""
    status, body = parts_of(request).readiness()
    return json_answer(body, status)


async def metrics(request: Request) -> Response:
    """`GET /metrics`."""
    del request
    return Response(await asyncio.to_thread(exposition), media_type=CONTENT_TYPE_LATEST)


async def docs(request: Request) -> Response:
    """`GET /docs`."""
    del request
    return HTMLResponse(docs_page(document()))


ENDPOINTS = (
    *(recall, recall_with, recall_batch),
    *(post_items, get_item, patch_item, delete_item, similar, embed),
    *(get_user, put_user, patch_user, delete_user),
    *(list_bundles, activate_bundle, roll_back),
    *(version, livez, readyz, metrics, docs),
)


def add_routes(app: FastAPI, guard: Guard) -> None:
    """Add every route, each as `operations` describes it and guarded; answers are written by hand.

    FastAPI serializes nothing here and validates nothing: bodies are read with their limits, and
    an answer is bytes already.
    """
    described = {operation.name: operation for operation in OPERATIONS}
    for endpoint in ENDPOINTS:
        operation = described[endpoint.__name__]
        app.add_api_route(
            operation.path,
            guard.guarded(operation, endpoint),
            methods=[operation.method],
            operation_id=operation.name,
            summary=operation.summary,
            tags=[operation.tag],
            response_model=None,
        )


async def answer_unrouted(request: Request, error: Exception) -> Response:
    """Answer what the router itself refuses: an unknown path, or a known one's other methods."""
    assert isinstance(error, HTTPException)
    methods: set[str] = set()
    for route in request.app.routes:
        if isinstance(route, Route) and route.matches(request.scope)[0] is not Match.NONE:
            methods |= route.methods or set()
    problem: Problem = UnknownRoute(request.url.path)
    if methods:
        problem = MethodNotAllowed(request.method, sorted(methods))
    return answer(problem)
