"""Answers on the wire: what use cases return, written once, to bytes."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from starlette.responses import Response

from export.contract.errors import RecordError
from export.contract.side import Side, SideName
from service.embed import Embedded
from service.errors import MEDIA_TYPE, Internal, Overloaded, Problem, as_problem
from service.http.request_id import request_id
from service.http.wire import json_bytes
from service.items import DeltaFull, Item, Outcome, Posted
from service.recall import Recalled
from service.recall_batch import Answered
from service.replay.explainer import Explained
from service.serving import Serving
from service.users import User

logger = logging.getLogger(__name__)

JSON = "application/json"

SLICE = 16
"""Recalls written at once, before others on the event loop have their turn."""


def json_answer(body: dict[str, Any], status: int = 200) -> Response:
    """Return a JSON answer."""
    return Response(json_bytes(body), status, media_type=JSON if status < 400 else MEDIA_TYPE)


def posted_answer(outcome: Outcome, *, with_vector: bool) -> Response:
    """Answer for one posted item."""
    body = _posted(outcome, with_vector=with_vector)
    status = body.pop("status")
    if isinstance(outcome, Posted):
        return json_answer(body, status)
    raise _problem(outcome)


def batch_answer(outcomes: Sequence[Outcome], *, with_vector: bool) -> Response:
    """Answer for a batch: 200, one result for each item in order, each with its own status."""
    results = [_posted(outcome, with_vector=with_vector) for outcome in outcomes]
    log_ids = [outcome.log_id for outcome in outcomes if isinstance(outcome, Posted)]
    return json_answer({"results": results, "log_id": log_ids[-1] if log_ids else None})


def _posted(outcome: Outcome, *, with_vector: bool) -> dict[str, Any]:
    if not isinstance(outcome, Posted):
        return _problem(outcome).body()
    body: dict[str, Any] = {
        "status": 201 if outcome.created else 200,
        "id": outcome.id,
        "state": outcome.state,
        "dropped": outcome.dropped,
        "version": outcome.version,
        "vector": outcome.vector,
        "searchable": outcome.searchable,
        "durable": outcome.not_durable is None,
        "log_id": outcome.log_id,
    }
    if outcome.not_durable is not None:
        body["not_durable"] = outcome.not_durable
    if not with_vector:
        del body["vector"]
    return body


def _problem(outcome: BaseException) -> Problem:
    return Overloaded(str(outcome)) if isinstance(outcome, DeltaFull) else as_problem(outcome)


async def recall_batch_answer(outcomes: Sequence[Answered | BaseException]) -> Response:
    """Answer for a batch of recalls: 200, one result for each in order, with its own status."""
    results: list[bytes] = []
    for place, outcome in enumerate(outcomes):
        results.append(_recalled(outcome))
        if place % SLICE == SLICE - 1:
            await asyncio.sleep(0)
    return Response(b'{"results":[' + b",".join(results) + b"]}", media_type=JSON)


def _recalled(outcome: Answered | BaseException) -> bytes:
    if isinstance(outcome, Recalled | Explained):
        return outcome.encode(request_id(), status=200)
    problem = as_problem(outcome)
    if isinstance(problem, Internal):
        logger.error("unexpected error", exc_info=outcome)
    return json_bytes(problem.body())


def item_answer(item: Item) -> Response:
    """Answer with an item."""
    return json_answer(
        {
            "id": item.id,
            "record": {"id": item.id, **item.record},
            "state": item.state,
            "dropped": item.dropped,
            "version": item.version,
            "vector": item.vector,
        }
    )


def embed_answer(
    version: str, sides: Mapping[SideName, Sequence[Embedded | RecordError]]
) -> Response:
    """Answer with vectors: one result for each record in order, with its own status."""
    lists = {f"{side}s": [_embedded(one) for one in done] for side, done in sides.items()}
    return json_answer({"version": version, **lists})


def _embedded(outcome: Embedded | RecordError) -> dict[str, Any]:
    if isinstance(outcome, RecordError):
        return as_problem(outcome).body()
    return {
        "status": 200,
        "id": outcome.id,
        "state": outcome.state,
        "dropped": outcome.dropped,
        "vector": outcome.vector,
    }


def user_answer(user: User, status: int = 200) -> Response:
    """Answer with a user."""
    body = {
        "id": user.id,
        "record": {"id": user.id, **user.stored.record},
        "state": user.state,
        "dropped": user.dropped,
    }
    return json_answer(body, status)


def version_answer(serving: Serving) -> Response:
    """Answer with what is served: the bundle, its lineage, and the features it understands."""
    generation, pointer = serving.current.generation, serving.pointer
    schema = generation.schema
    tried = {"version": pointer.candidate, "share": pointer.share}
    return json_answer(
        {
            "version": generation.version,
            "candidate": None if pointer.candidate is None else tried,
            "code": code_version(),
            "schema_hash": schema.hash,
            "dim": schema.dim,
            "similarity": schema.similarity,
            "ranker": generation.ranker,
            "lineage": generation.bundle.manifest.lineage.model_dump(mode="json"),
            "features": {"user": _features(schema.user), "item": _features(schema.item)},
        }
    )


def _features(side: Side) -> dict[str, Any]:
    """Return the features by group, without vocabularies; `Side` reads it back."""
    return side.model_dump(mode="json", exclude_none=True)


def code_version() -> str:
    """Return the version of the installed distribution."""
    try:
        return version("firstsight")
    except PackageNotFoundError:  # run from a folder
        return "unknown"
