"""Request bodies: JSON, read whole and in time, and held against the shape it should have."""

import asyncio
import json
from itertools import islice
from typing import Any

import orjson
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect, Request

from export.contract.errors import MOST_TOLD, Fault
from export.contract.side import SideName
from export.contract.tables import AN_ID
from service.errors import BodyTimeout, InvalidRecord, Malformed, UnsupportedMedia
from service.http.bounds import list_of, whole_number
from service.http.query import A_RANKER
from service.payloads import Features, RecallBody
from service.settings import Limits

EXPECTED = {
    "string_type": "text",
    "bool_type": "true or false",
    "dict_type": "an object",
    "model_type": "an object",
}

LEVELS = 254
"""Lists and objects within one another in a body, at most; no record needs more than three."""

SIDES: tuple[tuple[str, SideName], ...] = (("users", "user"), ("items", "item"))


async def read_json(request: Request, limits: Limits) -> Any:
    """Return the body's value; invalid UTF-8 is no JSON.

    NaN, Infinity and numbers beyond a double are none either, but are read as floats that no
    feature takes: so the problem names the feature, and in a batch loses no other record. Of a key
    that stands twice in an object the last value counts.

    Raises:
        Malformed: No body, or not JSON.
        UnsupportedMedia: The body says that it is something else.
        BodyTimeout: It does not come in time.

    """
    media = request.headers.get("content-type", "application/json")
    kind = media.partition(";")[0].strip().lower()
    if kind != "application/json" and not kind.endswith("+json"):
        raise UnsupportedMedia(media[:80])
    try:
        async with asyncio.timeout(limits.body_timeout_s):
            body = await request.body()
    except TimeoutError:
        raise BodyTimeout(limits.body_timeout_s) from None
    except ClientDisconnect:
        raise Malformed("the body ended before its end") from None
    if not body:
        raise Malformed("the body is empty, expected a JSON object")
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        return _with_special_numbers(body, error)
    _refuse_deep(value)
    return value


def _refuse_deep(value: Any) -> None:
    """Refuse what is nested over `LEVELS` deep: to show it in a problem could end in a fault.

    orjson writes no deeper, and finds it out a few times faster than it read the value.

    Raises:
        Malformed: It is.

    """
    try:
        orjson.dumps(value)
    except orjson.JSONEncodeError:
        raise Malformed(f"the body is nested over {LEVELS} levels deep") from None


def _with_special_numbers(body: bytes, error: ValueError) -> Any:
    """Read what would be JSON but for numbers that are none.

    Raises:
        Malformed: It is not, for `error`.

    """
    try:
        value = json.loads(body.decode())
        orjson.dumps(value)  # refuses what orjson reads nowhere else: halves of surrogate pairs
    except (ValueError, TypeError, RecursionError):
        raise Malformed(f"the body is not JSON: {error}") from None
    return value


async def read_object(request: Request, limits: Limits) -> dict[str, Any]:
    """Return the body's value, which must be an object.

    Raises:
        InvalidRecord: It is another value; and what `read_json` raises.

    """
    value = await read_json(request, limits)
    if not isinstance(value, dict):
        raise InvalidRecord.of("body", value, "an object")
    return value


def read_embed_body(body: Features, most: int) -> dict[SideName, list[object]]:
    """Return the records to embed by side, none of them looked at yet.

    Raises:
        InvalidRecord: There are none, too many, no lists, or something stands beside them.

    """
    lists: dict[SideName, list[object]] = {
        side: read_batch({name: body[name]}, name, most) for name, side in SIDES if name in body
    }
    if (beside := _first_beside(body, *(name for name, _ in SIDES))) is not None:
        raise InvalidRecord.of(beside, body[beside], "'users', 'items' and nothing beside")
    if not lists:
        raise InvalidRecord.of("body", body, "lists of records, 'users' or 'items' or both")
    return lists


def read_recall_body(value: object, limits: Limits) -> RecallBody:
    """Read the body of `POST /recall`; `limits` are named where a value is of another type.

    Raises:
        InvalidRecord: Names the members at fault, and of a list the first that is.

    """
    try:
        return RecallBody.model_validate(few_unknown(value, RecallBody))
    except ValidationError as error:
        raise InvalidRecord(_faults(error, limits)) from None


def read_batch(body: Features, name: str, most: int) -> list[object]:
    """Return the members of a batch, `{name: [...]}`, none of them looked at yet.

    Raises:
        InvalidRecord: It is no list, too long, or something stands beside it.

    """
    members = body.get(name)
    if not isinstance(members, list):
        raise InvalidRecord.of(name, members, list_of(name, most))
    if len(members) > most:
        raise InvalidRecord([Fault(name, f"{len(members)} {name}", list_of(name, most))])
    if (beside := _first_beside(body, name)) is not None:
        raise InvalidRecord.of(beside, body[beside], f"nothing beside {name!r}")
    return members


def _first_beside(body: Features, *names: str) -> str | None:
    return next((name for name in body if name not in names), None)


def few_unknown(value: object, kind: type[BaseModel]) -> object:
    """Leave out most of the members that a body should not have, each of which costs a fault."""
    known = kind.model_fields
    if not isinstance(value, dict) or len(value) <= len(known) + MOST_TOLD:
        return value
    unknown = islice((name for name in value if name not in known), MOST_TOLD)
    return {name: value[name] for name in (*(value.keys() & known.keys()), *unknown)}


def _faults(error: ValidationError, limits: Limits) -> list[Fault]:
    bounded = {
        "user_id": AN_ID,
        "k": whole_number(limits.k),
        "exclude": list_of("ids", limits.exclude),
        "history": list_of("ids", limits.history),
        "rank": A_RANKER,
    }
    known = f"one of {', '.join(RecallBody.model_fields)}"
    faults = []
    for fault in error.errors(include_url=False):
        name = ".".join(str(part) for part in fault["loc"]) or "body"
        expected = bounded.get(name) or EXPECTED.get(fault["type"], "another")
        if fault["type"] == "extra_forbidden":
            expected = known
        faults.append(Fault.of(name, fault["input"], expected))
    return faults
