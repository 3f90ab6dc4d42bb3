"""Who may call: whoever brings a key with the scope; without keys, whoever sits at the machine."""

import functools
from collections.abc import Awaitable, Callable, Sequence
from typing import Final
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from service.errors import Forbidden, Unauthenticated
from service.http.audit import Audit, note_ids
from service.http.operations import Operation
from service.keys.key import Scope
from service.keys.ring import KeyRing
from service.loopback import is_loopback
from service.settings import Settings

Endpoint = Callable[[Request], Awaitable[Response]]

FORWARDED: Final = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")
"""What a gateway adds. What it lets through did not come from this machine."""


class Guard:
    """Stands before every endpoint whose operation needs a scope; the body is not read yet.

    Where there are keys every such call must bring one. Without, a service on a loopback address
    answers all, but is steered, and tells of `debug`, only from its own machine: not through a
    gateway, and not to a page in a browser there, which sends an `Origin`, or a `Host` that is not
    this machine. On another address it answers none.
    """

    def __init__(self, settings: Settings, ring: KeyRing) -> None:
        self._ring = ring
        self._is_local = is_loopback(settings.host)
        self._audit = Audit() if settings.audit else None

    def guarded(self, operation: Operation, endpoint: Endpoint) -> Endpoint:
        """Return an endpoint that answers those alone who may call the operation."""
        needs = operation.needs
        if needs is None:
            return endpoint

        @functools.wraps(endpoint)
        async def admitted(request: Request) -> Response:
            self.admit(request, needs)
            return await endpoint(request)

        if self._audit is None:
            return admitted
        return self._audit.audited(operation.name, admitted, always=needs != "recall")

    def admit(self, request: Request, needs: Scope) -> None:
        """Let a request pass that may do what needs this scope; note the name of its key.

        Raises:
            Unauthenticated: It brings no key, or one that is none here.
            Forbidden: Its key has not this scope; or there are no keys, and it is not from here.

        """
        if not self._ring.asks and self._is_local:
            if needs == "admin":
                _require_here(request)
            return
        scheme, _, text = _authorization(request).partition(b" ")
        key = self._ring.find(text.strip()) if scheme.lower() == b"bearer" else None
        if key is None:
            raise Unauthenticated
        request.scope["caller"] = key.name
        if needs not in key.scopes:
            raise Forbidden.of_key(key.name, sorted(key.scopes), needs)


def require_admin(request: Request, ids: Sequence[str]) -> None:
    """Let a request pass that may look behind its answers; the audit names these users of it.

    Raises:
        Unauthenticated, Forbidden: As `Guard.admit` says.

    """
    note_ids(request, ids)
    guard: Guard = request.app.state.guard
    guard.admit(request, "admin")


def _authorization(request: Request) -> bytes:
    for name, value in request.scope["headers"]:
        if name == b"authorization":
            return bytes(value)
    return b""


def _require_here(request: Request) -> None:
    is_forwarded = any(name in request.headers for name in FORWARDED)
    is_here = is_loopback(_name_of(request.headers.get("host", "")))
    if is_forwarded or "origin" in request.headers or not is_here:
        raise Forbidden.elsewhere()


def _name_of(host: str) -> str:
    """Return the name in a `Host`, which holds whatever a client has put there."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:  # half of a bracketed address
        return ""
