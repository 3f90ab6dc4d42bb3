"""Every call of the service, described once: what it takes, what it answers, with examples."""

from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from service import errors, payloads
from service.errors import Problem
from service.examples import (
    EMBED,
    EMBEDDED,
    ITEM,
    NOT_READY,
    PATCH,
    POSTED,
    POSTED_BATCH,
    READY,
    RECALL_BATCH,
    RECALL_BATCH_ANSWER,
    RECALL_COLD,
    RECALL_WARM,
    SIMILAR,
    STORED_ITEM,
    STORED_USER,
    USER,
    USER_PATCH,
    VERSION,
)


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
    """One call."""

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


TEXT = {"type": "string"}
FLAG = {"type": "boolean"}
ID = {"type": "string", "minLength": 1, "maxLength": 256}

PATH_ID = "Percent-encoded UTF-8; `%2F` is part of the id."
ITEM_ID = Parameter("id", "path", PATH_ID, ID, "v1", True)
USER_ID = Parameter("id", "path", PATH_ID, ID, "u42", True)
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
UNMODIFIED_SINCE = Parameter(
    "If-Unmodified-Since",
    "header",
    "An HTTP date. Store nothing if the user was written after it, or was erased at any time of "
    "which a mark is still kept: 412. Without it the write is unconditional.",
    TEXT,
    "Wed, 20 Nov 2024 07:06:40 GMT",
)
HEAD = (DEADLINE, REQUEST_ID)

ALWAYS = (errors.Internal,)
AT_ONCE = (errors.InvalidRecord, errors.Overloaded)
"""Of a call that waits for nothing, so that no deadline can pass; the rest are of longer ones."""
WORK = (*AT_ONCE, errors.NotReady, errors.DeadlineExceeded)
BODY = (errors.Malformed, errors.BodyTimeout, errors.TooLarge, errors.UnsupportedMedia)
STORE = (errors.StoreUnavailable,)

WITH_VECTOR = Parameter("vector", "query", "`false` leaves vectors out of the answer.", FLAG, True)
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
RECALL_PARAMETERS = (
    Parameter("user_id", "query", "Known or unknown; an unknown one is no error.", ID, "u42", True),
    K,
    Parameter(
        "context",
        "query",
        "What is known of the request itself: one parameter for each context feature, as in "
        "`context.tab=1`. A missing one is listed in `dropped`.",
        {
            "type": "object",
            "additionalProperties": TEXT,
            "propertyNames": {"pattern": "^context[.]"},
        },
        {"context.tab": "1"},
    ),
    EXCLUDE,
    Parameter("cold", "query", "Answer as if no preference were known.", FLAG, False),
    AFTER,
    *HEAD,
)

OPERATIONS = (
    Operation(
        "GET",
        "/recall",
        "recall",
        "Recall items for a user",
        "The user's stored features become a vector now, and the nearest items come back, best "
        "first. `state` says how: `warm` with preference, `cold` with content only, `fallback` "
        "with popular and fresh items where nothing is known. When the store fails, `degraded` "
        "says so and the answer is made of what the request brings.",
        {200: Answer("Items, best first.", (payloads.RecallAnswer,), {"cold": RECALL_COLD})},
        WORK,
        RECALL_PARAMETERS,
        tag="recall",
    ),
    Operation(
        "POST",
        "/recall",
        "recall_with",
        "Recall items for a user described in the request",
        "As GET, and more: inline `user` features win over stored ones, and `history` (item ids "
        "from oldest to newest) replaces the features that are made of it.",
        {200: Answer("Items, best first.", (payloads.RecallAnswer,), {"warm": RECALL_WARM})},
        (*BODY, *WORK),
        HEAD,
        body=(payloads.RecallBody,),
        bodies={
            "stored user": {"user_id": "u42", "k": 100, "context": {"tab": "1"}},
            "unknown user with a history": {"history": ["v3", "v8"], "exclude": ["v3", "v8"]},
            "inline features": {"user": {"gender": "f", "age": 31}, "k": 20},
        },
        tag="recall",
    ),
    Operation(
        "POST",
        "/recall/batch",
        "recall_batch",
        "Recall items for many users",
        "Each request is a body of `POST /recall` and is answered as if it were alone, with a "
        "status of its own; a bad one loses no good one. They share store reads, tower runs and "
        "searches. At most 256.",
        {
            200: Answer(
                "One result for each request, in order.",
                (payloads.RecallBatchAnswer,),
                {"results": RECALL_BATCH_ANSWER},
            )
        },
        (*BODY, *WORK),
        HEAD,
        body=(payloads.RecallBatch,),
        bodies={"several": RECALL_BATCH},
        tag="recall",
    ),
    Operation(
        "POST",
        "/items",
        "post_items",
        "Post one item, or several",
        "The item tower makes the vector (preference dropped when absent). 2xx means written to "
        "Redis and searchable on the replica that answered. A batch answers 200 with one result "
        "for each item in order; one bad item loses no good one.",
        {
            201: Answer("A new item.", (payloads.ItemPosted,), {"posted": POSTED}),
            200: Answer(
                "The item replaced one; or the results of a batch.",
                (payloads.ItemPosted, payloads.ItemBatchAnswer),
                {"replaced": POSTED, "batch": POSTED_BATCH},
            ),
        },
        (*BODY, *WORK, *STORE),
        (WITH_VECTOR, *HEAD),
        body=(payloads.ItemRecord, payloads.ItemBatch),
        bodies={"one": ITEM, "several": {"items": [ITEM, {"id": "v900002", "tags": ["music"]}]}},
        tag="items",
    ),
    Operation(
        "GET",
        "/items/{id}",
        "get_item",
        "Read an item",
        "Its record as it is served, its state and its vector.",
        {
            200: Answer("The item.", (payloads.StoredItem,), {"posted": STORED_ITEM}),
        },
        (errors.UnknownItem, *AT_ONCE, errors.NotReady),
        (ITEM_ID, *HEAD),
        tag="items",
    ),
    Operation(
        "PATCH",
        "/items/{id}",
        "patch_item",
        "Change some features of an item",
        "Merges features into those that are served, whoever wrote them; `null` removes one, and "
        '`"preference": null` forgets all preference. What another replica writes meanwhile is not '
        "lost.",
        {200: Answer("The item as it is now.", (payloads.ItemPosted,), {"patched": POSTED})},
        (*BODY, errors.UnknownItem, *WORK, *STORE),
        (ITEM_ID, WITH_VECTOR, *HEAD),
        body=(payloads.Patch,),
        bodies={"change": PATCH, "forget": {"preference": None}},
        tag="items",
    ),
    Operation(
        "DELETE",
        "/items/{id}",
        "delete_item",
        "Remove an item",
        "It is never recalled again, in this version or another, until it is posted again. "
        "Idempotent.",
        {204: Answer("Removed, or it was not there.")},
        (*WORK, *STORE),
        (ITEM_ID, *HEAD),
        tag="items",
    ),
    Operation(
        "GET",
        "/items/{id}/similar",
        "similar",
        "Find items near to an item",
        "The items whose vectors are nearest to the item's, best first, itself left out. `state` "
        "and `dropped` tell how its vector was made.",
        {200: Answer("Items, best first.", (payloads.SimilarAnswer,), {"similar": SIMILAR})},
        (errors.UnknownItem, *WORK),
        (ITEM_ID, K, EXCLUDE, AFTER, *HEAD),
        tag="items",
    ),
    Operation(
        "POST",
        "/embed",
        "embed",
        "Turn records into vectors",
        "Nothing is stored or looked up. One result for each record in order, each with its own "
        "status; context features may stand among a user's. At most 1000 of each side.",
        {200: Answer("Vectors.", (payloads.EmbedAnswer,), {"vectors": EMBEDDED})},
        (*BODY, *WORK),
        HEAD,
        body=(payloads.EmbedBody,),
        bodies={"records": EMBED},
        tag="recall",
    ),
    Operation(
        "GET",
        "/users/{id}",
        "get_user",
        "Read a user",
        "The stored features and the state that they give.",
        {200: Answer("The user.", (payloads.StoredUser,), {"warm": STORED_USER})},
        (errors.UnknownUser, *WORK, *STORE),
        (USER_ID, *HEAD),
        tag="users",
    ),
    Operation(
        "PUT",
        "/users/{id}",
        "put_user",
        "Store a user's features",
        "Replaces what is stored. Context features are refused: they come with the request.",
        {
            201: Answer("A new user.", (payloads.StoredUser,), {"warm": STORED_USER}),
            200: Answer("Replaced.", (payloads.StoredUser,), {"warm": STORED_USER}),
        },
        (*BODY, errors.PreconditionFailed, *WORK, *STORE),
        (USER_ID, UNMODIFIED_SINCE, *HEAD),
        body=(payloads.UserRecord,),
        bodies={"warm": USER, "cold": {"gender": "f", "age": 31}},
        tag="users",
    ),
    Operation(
        "PATCH",
        "/users/{id}",
        "patch_user",
        "Change some of a user's features",
        "Merges features into what is stored, also where that is nothing; `null` removes one, and "
        '`"preference": null` forgets all preference. What others write meanwhile is not lost.',
        {
            201: Answer("A new user.", (payloads.StoredUser,), {"warm": STORED_USER}),
            200: Answer("Changed.", (payloads.StoredUser,), {"warm": STORED_USER}),
        },
        (*BODY, *WORK, *STORE),
        (USER_ID, *HEAD),
        body=(payloads.Patch,),
        bodies={"change": USER_PATCH},
        tag="users",
    ),
    Operation(
        "DELETE",
        "/users/{id}",
        "delete_user",
        "Erase a user",
        "All that is stored of the user is gone. For `FIRSTSIGHT_ERASED_KEPT_DAYS` a salted hash "
        "of the id keeps writes with `If-Unmodified-Since` from bringing it back. Idempotent.",
        {204: Answer("Erased, or nothing was stored.")},
        (*WORK, *STORE),
        (USER_ID, *HEAD),
        tag="users",
    ),
    Operation(
        "GET",
        "/version",
        "version",
        "What is served",
        "The bundle, where it comes from, and the features it understands.",
        {200: Answer("The version.", (payloads.VersionAnswer,), {"version": VERSION})},
        (*AT_ONCE, errors.NotReady),
    ),
    Operation(
        "GET",
        "/livez",
        "livez",
        "Is the process alive",
        "200 as long as the event loop turns.",
        {200: Answer("Alive.", (payloads.LiveAnswer,), {"alive": {"state": "alive"}})},
    ),
    Operation(
        "GET",
        "/readyz",
        "readyz",
        "Should requests come here",
        "200 in the states `ready` and `degraded` (the store does not answer; recalls go on), "
        "503 in all others.",
        {
            200: Answer("Yes.", (payloads.ReadyAnswer,), {"ready": READY}),
            503: Answer("No, or not yet.", (payloads.ReadyAnswer,), {"loading": NOT_READY}),
        },
    ),
    Operation(
        "GET",
        "/metrics",
        "metrics",
        "Metrics for Prometheus",
        "The same from every worker.",
        {200: Answer("Prometheus text.", media="text/plain")},
    ),
    Operation(
        "GET",
        "/openapi.json",
        "openapi",
        "This description",
        "OpenAPI 3.1.",
        {200: Answer("The document.", media="application/json")},
        AT_ONCE,
    ),
    Operation(
        "GET",
        "/docs",
        "docs",
        "This description, to read",
        "One page without scripts; each problem's `type` points into it.",
        {200: Answer("The page.", media="text/html")},
        AT_ONCE,
    ),
)
