"""Layers around the application, in plain ASGI: admission, observation, limits."""

import asyncio
import logging
import time
from functools import cache
from typing import TYPE_CHECKING

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import DeadlineExceeded, InvalidRecord, Problem, TooLarge
from service.errors import answer as answer_problem
from service.http.admission import PROBES, Admission, header
from service.http.bounds import read_whole
from service.http.request_id import set_request_id
from service.observe import REQUEST_SECONDS, REQUESTS
from service.settings import Limits

if TYPE_CHECKING:
    from service.tracing import Tracing

logger = logging.getLogger(__name__)

BATCHES = frozenset({"/embed", "/items", "/recall/batch"})
"""Paths whose bodies may be batches."""

MOST_TIMEOUT_MS = 600_000


class Admitted:
    """Outermost: takes a request into work, or refuses it at once; probes are always taken.

    The body of what is refused is read by nobody: the server drops it as it comes, and the
    connection stays. Most of what is refused does not come here, see `RefusingProtocol`.
    """

    def __init__(self, app: ASGIApp, admission: Admission) -> None:
        self._app = app
        self._admission = admission

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Have a request answered, or refuse it."""
        if scope["type"] != "http" or scope["path"] in PROBES:
            await self._app(scope, receive, send)
        elif self._admission.is_full:
            await self._refuse(scope, send)
        else:
            with self._admission:
                await self._app(scope, receive, send)

    async def _refuse(self, scope: Scope, send: Send) -> None:
        headers, body = self._admission.refuse(scope["headers"])
        if header(scope["headers"], b"expect") is not None:
            # Such a client does not send the body any more.
            headers.append((b"connection", b"close"))
        start = {"type": "http.response.start", "status": self._admission.status}
        await send({**start, "headers": headers})
        await send({"type": "http.response.body", "body": body})


class Observed:
    """Gives each request its id, counts, times and traces it, and logs what escapes.

    tracing: None where no trace is sent; probes are never traced.
    """

    def __init__(self, app: ASGIApp, tracing: "Tracing | None" = None) -> None:
        self._app = app
        self._tracing = tracing
        self._count = cache(lambda route, status: REQUESTS.labels(route, status).inc)
        self._time = cache(lambda route: REQUEST_SECONDS.labels(route).observe)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun_s = time.perf_counter()
        identity = set_request_id(header(scope["headers"], b"x-request-id")).encode()
        status, trace = 0, None
        if self._tracing is not None and scope["path"] not in PROBES:
            trace = self._tracing.begin(header(scope["headers"], b"traceparent"))

        async def send_marked(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", identity)]
                self._count(_route(scope), status)()  # before who asked can know of it
            await send(message)

        try:
            await self._app(scope, receive, send_marked)
        except Exception:  # answered already, by the handler of unexpected errors
            logger.exception("unexpected error")
        finally:
            route = _route(scope)
            if not status:  # the client has left, or the answer could not be begun
                status = 500
                self._count(route, status)()
            if trace is not None:
                trace.end(scope["method"], route, status)
        self._time(route)(time.perf_counter() - begun_s)
        logger.debug("answered", extra={"route": route, "status": status})


def _route(scope: Scope) -> str:
    return getattr(scope.get("route"), "path", "none")


class Limited:
    """Refuses what is too large or too late; probes are exempt."""

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self._app = app
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or refuse it."""
        if scope["type"] != "http" or scope["path"] in PROBES:
            await self._app(scope, receive, send)
            return
        try:
            await self._within_deadline(scope, self._capped(scope, receive), send)
        except Problem as problem:
            await answer_problem(problem)(scope, receive, send)

    async def _within_deadline(self, scope: Scope, receive: Receive, send: Send) -> None:
        given = header(scope["headers"], b"x-request-timeout-ms")
        if given is None:
            await self._app(scope, receive, send)
            return
        timeout_ms = read_whole(given, MOST_TIMEOUT_MS)
        if timeout_ms is None:
            expected = f"whole milliseconds from 1 to {MOST_TIMEOUT_MS}"
            raise InvalidRecord.of("X-Request-Timeout-Ms", given.decode("latin-1"), expected)
        has_begun = False

        async def send_noticed(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            async with asyncio.timeout(timeout_ms / 1000):
                await self._app(scope, receive, send_noticed)
        except TimeoutError:
            if has_begun:
                raise
            raise DeadlineExceeded(timeout_ms) from None

    def _capped(self, scope: Scope, receive: Receive) -> Receive:
        """Count the body's bytes as they come, whatever Content-Length says."""
        limits = self._limits
        most = limits.batch_body_bytes if scope["path"] in BATCHES else limits.body_bytes
        left = most
        promised = header(scope["headers"], b"content-length")
        if promised is not None and promised.isdigit() and int(promised[:18]) > most:
            left = -1

        async def receive_counted() -> Message:
            nonlocal left
            if left < 0:
                raise TooLarge(most)
            message = await receive()
            left -= len(message.get("body", b""))
            if left < 0:
                raise TooLarge(most)
            return message

        return receive_counted
