"""Problems: what the service may answer instead of what was asked, and how each becomes a body.

Problem                      status  type                  extra members
├─ Malformed                 400     malformed
├─ Unauthenticated           401     unauthenticated       + WWW-Authenticate
├─ Forbidden                 403     forbidden
├─ UnknownRoute              404     unknown-route
├─ UnknownItem               404     unknown-item          id
├─ UnknownUser               404     unknown-user          id
├─ UnknownBundle             404     unknown-bundle        id
├─ MethodNotAllowed          405     method-not-allowed    + Allow
├─ BodyTimeout               408     timeout
├─ Conflict                  409     conflict
├─ PreconditionFailed        412     precondition-failed   id, reason, at
├─ TooLarge                  413     too-large             limit_bytes
├─ UnsupportedMedia          415     unsupported-media
├─ InvalidRecord             422     invalid-record        errors: [{feature, got, expected}]
├─ BundleRefused             422     bundle-refused        id
├─ Overloaded                503     overloaded            + Retry-After
├─ NotReady                  503     not-ready             waiting_for
├─ StoreUnavailable          503     store-unavailable     + Retry-After
├─ DeadlineExceeded          504     deadline-exceeded
└─ Internal                  500     internal

Every leaf has a section in `docs/errors.md` and on the service's own page, where `type` points.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, ClassVar, Literal

import orjson
from starlette.requests import Request
from starlette.responses import Response

from export.contract.errors import MOST_TOLD, Fault, RecordError
from service.http.bounds import size
from service.http.request_id import request_id
from service.keys.mask import masked, masked_value
from service.store import base as store

MEDIA_TYPE = "application/problem+json"
LATEST_S = 253_402_300_799
"""The last second of the year 9999. A moment that others wrote into Redis may lie anywhere."""


class Problem(Exception):
    """A request that cannot be answered as asked; the detail says what would be right.

    What was sent is told again, but for keys, which may have been sent in the wrong place.
    """

    status: ClassVar[int]
    type: ClassVar[str]
    title: ClassVar[str]
    told: ClassVar[tuple[str, ...]] = ()
    """Headers that come with each of the kind."""

    def __init__(
        self, detail: str, *, headers: Mapping[str, str] | None = None, **members: object
    ) -> None:
        self.detail = masked(detail)
        super().__init__(self.detail)
        self.headers = dict(headers or {})
        self.members: dict[str, Any] = masked_value(members)

    def body(self) -> dict[str, Any]:
        """Return the members of RFC 9457, then this problem's own."""
        return {
            "type": f"/docs#{self.type}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            **self.members,
        }


class Malformed(Problem):
    """The body is not JSON."""

    status, type, title = 400, "malformed", "The body is not JSON"


class Unauthenticated(Problem):
    """The call needs a key, and brings none that this service knows."""

    status, type, title = 401, "unauthenticated", "The key is missing or unknown"
    told = ("WWW-Authenticate",)

    def __init__(self) -> None:
        super().__init__(
            "expected `Authorization: Bearer` with a key of this service",
            headers={"WWW-Authenticate": "Bearer"},
        )


class Forbidden(Problem):
    """The key has not the scope; or without keys the call is for whoever sits at the machine."""

    status, type, title = 403, "forbidden", "Not for this caller"

    @classmethod
    def of_key(cls, name: str, scopes: Sequence[str], needs: str) -> "Forbidden":
        """Return the problem of a key that may do other things."""
        return cls(f"key {name!r} has the scopes {', '.join(scopes)}; expected {needs}")

    @classmethod
    def elsewhere(cls) -> "Forbidden":
        """Return the problem of a service without keys that somebody else would steer."""
        return cls(
            "got a request through a gateway, with an Origin, or to a Host that is not this "
            "machine; without keys a service is steered, and tells of `debug`, on its own machine "
            "alone, and not to a page in a browser"
        )


class UnknownRoute(Problem):
    """Nothing is served at this path."""

    status, type, title = 404, "unknown-route", "Nothing is served here"

    def __init__(self, path: str) -> None:
        super().__init__(f"nothing is served at {masked(path)[:80]!r}; /docs lists what is")


class UnknownItem(Problem):
    """No such item, or it was removed."""

    status, type, title = 404, "unknown-item", "No such item"

    def __init__(self, id: str) -> None:
        super().__init__(f"item {id!r}: never posted, or removed", id=id)


class UnknownUser(Problem):
    """Nothing is stored of this user."""

    status, type, title = 404, "unknown-user", "No such user"

    def __init__(self, id: str) -> None:
        super().__init__(f"user {id!r}: nothing is stored", id=id)


class UnknownBundle(Problem):
    """No such version in the folder of bundles."""

    status, type, title = 404, "unknown-bundle", "No such bundle"

    def __init__(self, id: str, detail: str) -> None:
        super().__init__(detail, id=id)


class MethodNotAllowed(Problem):
    """The path exists, the method does not."""

    status, type, title = 405, "method-not-allowed", "Another method is needed"

    def __init__(self, method: str, allowed: Sequence[str]) -> None:
        allow = ", ".join(allowed)
        super().__init__(f"got {method}, expected {allow}", headers={"Allow": allow})


class BodyTimeout(Problem):
    """The body did not come in time."""

    status, type, title = 408, "timeout", "The body did not come in time"

    def __init__(self, limit_s: float) -> None:
        super().__init__(f"no whole body within {limit_s:g} s", headers={"Connection": "close"})


class Conflict(Problem):
    """What is served was changed by somebody else, or cannot be changed so."""

    status, type, title = 409, "conflict", "The pointer was not changed"


class PreconditionFailed(Problem):
    """The user was written after the moment of the condition, or was erased."""

    status, type, title = 412, "precondition-failed", "What is stored is newer"

    def __init__(self, id: str, reason: Literal["newer", "erased"], at_s: float) -> None:
        at = datetime.fromtimestamp(min(at_s, LATEST_S), UTC).isoformat()
        told = {
            "newer": f"was written at {at}, after If-Unmodified-Since",
            "erased": f"was erased at {at}; only a write without If-Unmodified-Since is taken",
        }
        super().__init__(f"user {id!r} {told[reason]}", id=id, reason=reason, at=at)


class TooLarge(Problem):
    """The body is over the limit, counted while it comes."""

    status, type, title = 413, "too-large", "The body is too large"

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(
            f"expected {size(limit_bytes)}",
            headers={"Connection": "close"},  # what is left of the body is not worth reading
            limit_bytes=limit_bytes,
        )


class UnsupportedMedia(Problem):
    """The body says that it is something else than JSON."""

    status, type, title = 415, "unsupported-media", "The body must be JSON"

    def __init__(self, got: str) -> None:
        super().__init__(f"Content-Type: got {got!r}, expected 'application/json'")


class InvalidRecord(Problem):
    """One or more values cannot be used; each is named, up to 20."""

    status, type, title = 422, "invalid-record", "A value cannot be used"

    def __init__(self, faults: Sequence[Fault]) -> None:
        told = faults[:MOST_TOLD]
        super().__init__("; ".join(map(str, told)), errors=[asdict(fault) for fault in told])

    @classmethod
    def of(cls, feature: str, got: object, expected: str) -> "InvalidRecord":
        """Return the problem of one value."""
        return cls([Fault.of(feature, got, expected)])


class BundleRefused(Problem):
    """The bundle is there and cannot be served."""

    status, type, title = 422, "bundle-refused", "The bundle cannot be served"

    def __init__(self, id: str, detail: str) -> None:
        super().__init__(detail, id=id)


class Overloaded(Problem):
    """More is asked than can be done now."""

    status, type, title = 503, "overloaded", "Too much is asked at once"
    told = ("Retry-After",)

    def __init__(self, detail: str) -> None:
        super().__init__(detail, headers={"Retry-After": "1"})


class NotReady(Problem):
    """There is nothing to answer from yet."""

    status, type, title = 503, "not-ready", "Not ready"
    told = ("Retry-After",)

    def __init__(self, waiting_for: str) -> None:
        super().__init__(
            f"waiting for the {waiting_for}", headers={"Retry-After": "1"}, waiting_for=waiting_for
        )


class StoreUnavailable(Problem):
    """Redis does not answer, and this call cannot do without it."""

    status, type, title = 503, "store-unavailable", "The store does not answer"
    told = ("Retry-After",)

    def __init__(self, detail: str = "Redis does not answer") -> None:
        super().__init__(detail, headers={"Retry-After": "1"})


class DeadlineExceeded(Problem):
    """The answer was not ready within `X-Request-Timeout-Ms`."""

    status, type, title = 504, "deadline-exceeded", "The deadline has passed"

    def __init__(self, timeout_ms: int) -> None:
        super().__init__(f"no answer within the {timeout_ms} ms that X-Request-Timeout-Ms gave")


class Internal(Problem):
    """A fault of ours; the log has it under the request id."""

    status, type, title = 500, "internal", "A fault of the service"

    def __init__(self) -> None:
        super().__init__("the service's log has the cause, under this request id")


LEAVES: tuple[type[Problem], ...] = tuple(Problem.__subclasses__())


def as_problem(error: BaseException) -> Problem:
    """Return the problem that an exception means to a client."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, RecordError):
        return InvalidRecord(error.faults)
    if isinstance(error, store.StoreUnavailable):
        return StoreUnavailable()
    return Internal()


def answer(problem: Problem) -> Response:
    """Return the answer that tells of a problem."""
    body = orjson.dumps(problem.body() | {"request_id": request_id()})
    return Response(body, problem.status, problem.headers, MEDIA_TYPE)


async def answer_error(request: Request, error: Exception) -> Response:
    """Answer any error with a problem; the one handler of all of them."""
    del request
    return answer(as_problem(error))
