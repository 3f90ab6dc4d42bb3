"""The pointer in Redis, shared by all replicas: read, and changed by compare-and-set."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import redis

from service.redis.client import talking
from service.redis.url import read_url
from service.rollout.pointer import Pointer, PointerRefused, first_pointer
from service.settings import Settings
from service.store import Link, StoreUnavailable
from service.store.connection import answering

logger = logging.getLogger(__name__)

TIMEOUT_S = 1.0

CHANGE: Final = """
-- Replaces the pointer if it is still of the generation that the change was made for.
-- KEYS: current. ARGV: that generation (0: there is no pointer), then all fields and values.
-- Answers 1, or 0 and the pointer as it is.
if (redis.call('HGET', KEYS[1], 'generation') or '0') ~= ARGV[1] then
  return {0, redis.call('HGETALL', KEYS[1])}
end
redis.call('HSET', KEYS[1], unpack(ARGV, 2))
return {1}
"""


class PointerUnknown(Exception):
    """Redis did not say which version is current."""

    exit_code = 1


def read_pointer(settings: Settings) -> Pointer | None:
    """Return the pointer; None: no version has become current yet.

    Blocks for up to a second; used where no request waits for it.

    Raises:
        PointerUnknown: Redis does not answer, or with something that is no pointer.

    """
    with _client(settings) as client:
        found: Any = client.hgetall(pointer_key(settings))
    return _parse(settings, found) if found else None


async def ask_pointer(link: Link, settings: Settings) -> Pointer | None:
    """Return the pointer as `read_pointer` does, over the connections that a process has anyway.

    Raises:
        PointerUnknown: Redis does not answer, or with something that is no pointer.

    """
    try:
        with answering():
            found: Any = await link.follows.hgetall(pointer_key(settings))
    except StoreUnavailable as error:
        raise PointerUnknown(f"redis: {error}") from error
    return _parse(settings, found) if found else None


def change_pointer(settings: Settings, before: Pointer | None, after: Pointer) -> Pointer:
    """Change the pointer if it is still as it was before (None: there is none); return it.

    Never tried twice, for a change whose answer was lost may have been made.

    Raises:
        PointerRefused: Somebody else changed it first.
        PointerUnknown: Redis does not answer, or with something that is no pointer.

    """
    of = 0 if before is None else before.generation
    flat = [word for pair in after.fields().items() for word in pair]
    with _client(settings) as client:
        done, *found = client.eval(CHANGE, 1, pointer_key(settings), of, *flat)
    if done:
        return after
    words = iter(found[0])
    now = dict(zip(words, words, strict=True))
    raise PointerRefused(moved(of, _parse(settings, now) if now else None))


def moved(expected: int, now: Pointer | None) -> str:
    """Say that a change came too late, who came first, and what is so now."""
    if now is None:
        return f"not changed: expected generation {expected}, but there is no pointer"
    return (
        f"not changed: generation {now.generation} came first, expected {expected}; {now} now. "
        "Look, and decide again"
    )


def activate_first(settings: Settings, version: str) -> None:
    """Make a version that has been loaded the current one, if there is none."""
    restore_pointer(settings, first_pointer(version))


def restore_pointer(settings: Settings, pointer: Pointer) -> None:
    """Write a pointer where there is none; what is told is only logged."""
    try:
        if read_pointer(settings) is None:
            change_pointer(settings, None, pointer)
    except PointerUnknown as error:
        logger.warning("pointer not written", extra={"reason": str(error)})
    except PointerRefused as error:
        logger.info("another pointer was first", extra={"reason": str(error)})


def pointer_key(settings: Settings) -> str:
    """Return the key; it has the hash tag of the catalogue, so one node of a cluster holds it."""
    return f"{{{settings.prefix}}}:current"


@contextmanager
def _client(settings: Settings) -> "Iterator[redis.Redis]":
    if settings.redis is None:
        raise PointerUnknown("no Redis is given")
    try:
        url = read_url(settings.redis.get_secret_value())
        with talking(url, pointer_key(settings), TIMEOUT_S) as client:
            yield client
    except (redis.RedisError, ValueError) as error:
        raise PointerUnknown(f"redis: {type(error).__name__}: {error}") from error


def _parse(settings: Settings, found: Mapping[bytes, bytes]) -> Pointer:
    words = {name.decode(errors="replace"): v.decode(errors="replace") for name, v in found.items()}
    try:
        return Pointer.parse(words)
    except ValueError as error:
        raise PointerUnknown(f"{pointer_key(settings)}: {error}") from error
