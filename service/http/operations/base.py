"""What every description of a call is made of: its parts, and what many calls share."""

from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from service import errors
from service.errors import Problem
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
class Answer:
    """One good answer; without models it has no body, or one that is no JSON."""

    text: str
    models: tuple[type[BaseModel], ...] = ()
    examples: dict[str, object] = field(default_factory=dict)
    media: str | None = None


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
    tag: str = "operations"
    needs: Scope | None = field(kw_only=True)

    @property
    def refusals(self) -> tuple[type[Problem], ...]:
        """Return all problems of the call but those of every call."""
        guarded = () if self.needs is None else (errors.Unauthenticated, errors.Forbidden)
        return (*self.problems, *guarded)


TEXT = {"type": "string"}
FLAG = {"type": "boolean"}
ID = {"type": "string", "minLength": 1, "maxLength": 256}

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
    "Taken over into the answer and the logs; made up if left out.",
    {"type": "string", "pattern": "^[A-Za-z0-9._:-]{1,64}$"},
    "01JD8X0J7Q6V3M5C9T2R4W8E1Z",
)
HEAD = (DEADLINE, REQUEST_ID)

ALWAYS = (errors.Internal,)
AT_ONCE = (errors.InvalidRecord, errors.Overloaded)
"""Of a call that waits for nothing, so that no deadline can pass; the rest are of longer ones."""
WORK = (*AT_ONCE, errors.NotReady, errors.DeadlineExceeded)
BODY = (errors.Malformed, errors.BodyTimeout, errors.TooLarge, errors.UnsupportedMedia)
STORE = (errors.StoreUnavailable,)

K = Parameter(
    "k", "query", "How many items.", {"type": "integer", "minimum": 1, "maximum": 1000}, 100
)
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
    TEXT,
    "1732000000000-0",
)
