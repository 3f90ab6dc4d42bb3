"""What every description of a call is made of: its parts, and what many calls share."""

from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from service import errors
from service.errors import Problem
from service.http.shapes import COUNT, ID, LOG_ID
from service.keys.key import Scope


@dataclass(frozen=True)
class Parameter:
    """A parameter of the query, the path or the head."""

    name: str
    place: str
    text: str
    schema: dict[str, Any]
    example: object
    required: bool = False


@dataclass(frozen=True)
class Link:
    """What can be asked next with what an answer told, as OpenAPI's runtime expressions say it."""

    operation: str
    parameters: dict[str, str] = field(default_factory=dict)
    body: object = None


@dataclass(frozen=True)
class Answer:
    """One good answer; without models it has no body, or one that is no JSON.

    headers: their names. links: by a name of one's own.
    """

    text: str
    models: tuple[type[BaseModel], ...] = ()
    examples: dict[str, object] = field(default_factory=dict)
    media: str | None = None
    headers: tuple[str, ...] = ()
    links: dict[str, Link] = field(default_factory=dict)


@dataclass(frozen=True)
class Operation:
    """One call; `needs` is the scope that a key must have for it, None where none is needed."""

    method: str
    path: str
    name: str
    summary: str
    text: str
    answers: dict[int, Answer]
    problems: tuple[type[Problem], ...] = ()
    parameters: tuple[Parameter, ...] = ()
    body: tuple[type[BaseModel], ...] = ()
    bodies: dict[str, object] = field(default_factory=dict)
    is_body_needed: bool = True
    tag: str = "operations"
    needs: Scope | None = field(kw_only=True)

    @property
    def refusals(self) -> tuple[type[Problem], ...]:
        """Return all problems of the call but those of every call."""
        guarded = () if self.needs is None else (errors.Unauthenticated, errors.Forbidden)
        return (*self.problems, *guarded)


TEXT = {"type": "string"}
FLAG = {"type": "boolean"}
PATH_ID = "Percent-encoded UTF-8; `%2F` is part of the id."
ITEM_ID = Parameter("id", "path", PATH_ID, ID, "v1", True)
DEADLINE = Parameter(
    "X-Request-Timeout-Ms",
    "header",
    "Answer within so many milliseconds, else 504.",
    {"type": "integer", "minimum": 1, "maximum": 600_000},
    500,
)
REQUEST_ID = Parameter(
    "X-Request-Id",
    "header",
    "Taken over into the answer and the logs if it is 1 to 64 of `A-Z a-z 0-9 . _ : -`, else made "
    "up.",
    TEXT,
    "01JD8X0J7Q6V3M5C9T2R4W8E1Z",
)
HEAD = (DEADLINE, REQUEST_ID)

ALWAYS = (errors.Internal,)
AT_ONCE = (errors.InvalidRecord, errors.Overloaded)
"""Of a call that waits for nothing, so that no deadline can pass; the rest are of longer ones."""
WORK = (*AT_ONCE, errors.NotReady, errors.DeadlineExceeded)
BODY = (errors.Malformed, errors.BodyTimeout, errors.TooLarge, errors.UnsupportedMedia)
STORE = (errors.StoreUnavailable,)

K = Parameter("k", "query", "How many items.", COUNT, 100)
EXCLUDE = Parameter(
    "exclude",
    "query",
    "Ids that are not wanted. May be repeated; a comma separates, `%2C` is a literal one.",
    TEXT,
    "v3,v8",
)
AFTER = Parameter(
    "after",
    "query",
    "A `log_id`: wait up to 250 ms until this replica has applied it.",
    LOG_ID,
    "1732000000000-0",
)
