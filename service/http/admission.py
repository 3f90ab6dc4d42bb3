"""What is in work, up to a bound, and the refusal of what comes on top of it."""

import contextvars

from service.errors import Overloaded, answer
from service.http.request_id import identity
from service.observe import REQUESTS
from service.settings import Limits

PROBES = frozenset({"/livez", "/readyz", "/metrics"})
"""These are answered however much is in work."""

NO_ID = b'"}'
"""How a problem ends outside of a request: with an empty `request_id`, the last member."""

Fields = list[tuple[bytes, bytes]]


def header(headers: Fields, name: bytes) -> bytes | None:
    """Return one of a request's headers; `name` in lower case."""
    for key, value in headers:
        if key == name:
            return value
    return None


class Admission:
    """Counts requests in work: one is, while it is in the `with` block.

    A refusal must cost next to nothing, or refusing takes the time of answering: it is written
    once, but for the request's id, and is counted, not timed.
    """

    def __init__(self, limits: Limits) -> None:
        self._most = limits.in_flight
        self._in_flight = 0
        problem = Overloaded(f"over {self._most} requests are in work here")
        # Outside of whatever request this context has answered before: its id would stay in there.
        refusal = contextvars.Context().run(answer, problem)
        self._head = [one for one in refusal.raw_headers if one[0] != b"content-length"]
        self._body = bytes(refusal.body).removesuffix(NO_ID)
        self._count = REQUESTS.labels("none", problem.status).inc
        self.status = problem.status
        """Of a refusal."""

    @property
    def is_full(self) -> bool:
        """Whether what comes now is refused."""
        return self._in_flight >= self._most

    def __enter__(self) -> None:
        self._in_flight += 1

    def __exit__(self, *error: object) -> None:
        self._in_flight -= 1

    def refuse(self, headers: Fields) -> tuple[Fields, bytes]:
        """Count a refusal of a request with these headers; return its own, and its body."""
        self._count()
        own = identity(header(headers, b"x-request-id")).encode()
        body = self._body + own + NO_ID
        length = str(len(body)).encode()
        return [*self._head, (b"content-length", length), (b"x-request-id", own)], body
