"""Reads request bodies: JSON, whole, in time, and nothing else."""

import asyncio
import json
from typing import Any

import orjson
from starlette.requests import ClientDisconnect, Request

from service.errors import BodyTimeout, InvalidRecord, Malformed, UnsupportedMedia
from service.settings import Limits


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
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        return _with_special_numbers(body, error)


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
