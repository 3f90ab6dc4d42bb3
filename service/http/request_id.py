"""The id of the request being answered: in its answer, its headers and its log lines."""

import os
import re
import time
from contextvars import ContextVar

SANE = re.compile(rb"[A-Za-z0-9._:-]{1,64}")
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32
PAIRS = [first + second for first in ALPHABET for second in ALPHABET]  # ten bits at once

_current: ContextVar[str] = ContextVar("request_id", default="")


def request_id() -> str:
    """Return the id of the request that this task answers; "" outside of one."""
    return _current.get()


def set_request_id(given: bytes | None) -> str:
    """Have a request's id carried by later log lines of the task; return it."""
    taken = identity(given)
    _current.set(taken)
    return taken


def identity(given: bytes | None) -> str:
    """Return the client's id if it is sane, else a new one."""
    return given.decode() if given and SANE.fullmatch(given) else new_request_id()


def new_request_id() -> str:
    """Return a ULID: 48 bits of milliseconds, then 80 random bits, in 26 characters."""
    milliseconds = time.time_ns() // 1_000_000
    value = milliseconds << 80 | int.from_bytes(os.urandom(10), "big")
    return "".join([PAIRS[value >> shift & 1023] for shift in range(120, -10, -10)])
