"""Who may steer the service: whoever has the token, or without one whoever sits at its machine."""

import hmac
import ipaddress
from typing import Final
from urllib.parse import urlsplit

from starlette.requests import Request

from service.errors import Forbidden, Unauthenticated, UnknownRoute
from service.settings import Settings

FORWARDED: Final = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")
"""What a gateway adds. What it lets through did not come from this machine."""


def require_admin(request: Request, settings: Settings, *, hides: bool = True) -> None:
    """Let a request pass that may steer the service, or look behind its answers.

    With `FIRSTSIGHT_ADMIN_TOKEN` set it must bring that, from wherever it comes. Without, there are
    such calls on a loopback address only, and not through a gateway; a page in a browser there
    cannot use them: it sends an `Origin`, or a `Host` that is not this machine.

    Raises:
        Unauthenticated: The token is missing or wrong.
        UnknownRoute: There is no token, and the service listens to others too; Forbidden where the
            call is one that everybody has, and so `hides` nothing.
        Forbidden: There is no token, and the request is a web page's.

    """
    if settings.admin_token is not None:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        expected = settings.admin_token.get_secret_value().encode()
        is_right = hmac.compare_digest(given.strip().encode(), expected)
        if scheme.lower() != "bearer" or not is_right:
            raise Unauthenticated
        return
    is_forwarded = any(name in request.headers for name in FORWARDED)
    if is_forwarded or not is_loopback(settings.host):
        raise UnknownRoute(request.url.path) if hides else Forbidden
    host = urlsplit(f"//{request.headers.get('host', '')}").hostname or ""
    if "origin" in request.headers or not is_loopback(host):
        raise Forbidden


def is_loopback(host: str) -> bool:
    """Say whether a host is this machine by itself, whatever a resolver says."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
