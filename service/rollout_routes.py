"""The endpoints that decide which version is served."""

import asyncio
from dataclasses import asdict
from typing import TypeVar

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response

from export.contract.errors import BundleError, Fault
from service.errors import (
    BundleRefused,
    Conflict,
    InvalidRecord,
    Overloaded,
    Problem,
    StoreUnavailable,
    UnknownBundle,
)
from service.http.answers import json_answer
from service.http.bodies import few_unknown, read_object
from service.http.query import decode
from service.parts import Parts
from service.payloads import Activation, Rollback
from service.rollout import bundles
from service.rollout.activation import ActivationBusy, activate_apart
from service.rollout.bundles import NoSuchBundle
from service.rollout.overview import overview
from service.rollout.pointer import Pointer, PointerRefused
from service.rollout.pointer_store import PointerUnknown, read_pointer
from service.rollout.rollout import rollback

Body = TypeVar("Body", Activation, Rollback)

EXPECTED = {
    "share": "a number over 0 and at most 1",
    "expect": "the pointer's generation, a whole number from 0",
}


async def list_bundles(request: Request) -> Response:
    """`GET /bundles`."""
    settings = _parts(request).settings
    pointer, unknown = None, None
    try:
        pointer = await asyncio.to_thread(read_pointer, settings)
    except PointerUnknown as error:
        unknown = str(error)
    listed = await asyncio.to_thread(bundles.list_bundles, settings.bundles)
    return json_answer(overview(listed, pointer, unknown))


async def activate_bundle(request: Request) -> Response:
    """`POST /bundles/{version}/activate`."""
    settings = _parts(request).settings
    version = decode(request.path_params["version"], "version", plus_is_space=False)
    asked = await _body(request, Activation)
    try:
        changed = await activate_apart(settings, version, asked.share, asked.expect)
    except NoSuchBundle as error:
        raise UnknownBundle(version, str(error)) from None
    except BundleError as error:
        raise BundleRefused(version, str(error)) from None
    except (PointerRefused, PointerUnknown) as error:
        raise _problem(error) from None
    except ActivationBusy as error:
        raise Overloaded(str(error)) from None
    return _changed(*changed)


async def roll_back(request: Request) -> Response:
    """`POST /bundles/rollback`."""
    settings = _parts(request).settings
    asked = await _body(request, Rollback)
    try:
        changed = await asyncio.to_thread(rollback, settings, asked.expect)
    except NoSuchBundle as error:
        raise UnknownBundle(error.version, str(error)) from None
    except (PointerRefused, PointerUnknown) as error:
        raise _problem(error) from None
    return _changed(*changed)


def _parts(request: Request) -> Parts:
    parts: Parts = request.app.state.parts
    return parts


async def _body(request: Request, kind: type[Body]) -> Body:
    """Read a body, all of whose members may be left out, and with them the body."""
    parts: Parts = request.app.state.parts
    length = request.headers.get("content-length", "0")
    if length == "0" and "transfer-encoding" not in request.headers:
        return kind()
    value = await read_object(request, parts.settings.limits)
    try:
        return kind.model_validate(few_unknown(value, kind))
    except ValidationError as error:
        known = f"one of {', '.join(kind.model_fields)}"
        named = [(str(one["loc"][0]), one["input"]) for one in error.errors()]
        faults = [Fault.of(name, got, EXPECTED.get(name, known)) for name, got in named]
        raise InvalidRecord(faults) from None


def _problem(error: Exception) -> Problem:
    """Return the problem that a refused change of the pointer means."""
    if isinstance(error, PointerUnknown):
        return StoreUnavailable()
    return Conflict(str(error))


def _changed(before: Pointer | None, after: Pointer) -> Response:
    told = {"before": None if before is None else asdict(before), "after": asdict(after)}
    return json_answer(told)
