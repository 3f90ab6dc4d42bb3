"""The calls that turn users into items, and records into vectors."""

from typing import get_args

from service import payloads
from service.http.examples import (
    EMBED,
    EMBEDDED,
    RECALL_BATCH,
    RECALL_BATCH_ANSWER,
    RECALL_COLD,
    RECALL_EXPLAINED,
    RECALL_RANKED,
    RECALL_WARM,
)
from service.http.operations.base import (
    AFTER,
    BODY,
    EXCLUDE,
    FLAG,
    HEAD,
    TEXT,
    WORK,
    Answer,
    K,
    Link,
    Operation,
    Parameter,
)
from service.http.shapes import ID

RANKS = list(get_args(payloads.Rank))

AN_ITEM = {
    "get": Link("get_item", {"id": "$response.body#/items/0"}),
    "similar": Link("similar", {"id": "$response.body#/items/0"}),
}

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
    Parameter("rank", "query", payloads.RANK, {"type": "string", "enum": RANKS}, "din"),
    Parameter("debug", "query", payloads.DEBUG, FLAG, False),
    *HEAD,
)

RECALL = (
    Operation(
        "GET",
        "/recall",
        "recall",
        "Recall items for a user",
        "The user's stored features become a vector now, and the nearest items come back, best "
        "first. `state` says how: `warm` with preference, `cold` with content only, `fallback` "
        "with popular and fresh items where nothing is known. When the store fails, `degraded` "
        "says so and the answer is made of what the request brings. With `rank` what is recalled "
        "is scored again, by the user's history, and ordered by these scores.",
        {
            200: Answer(
                "Items, best first.",
                (payloads.RecallAnswer,),
                {"cold": RECALL_COLD, "ranked": RECALL_RANKED},
                links=AN_ITEM,
            )
        },
        WORK,
        RECALL_PARAMETERS,
        tag="recall",
        needs="recall",
    ),
    Operation(
        "POST",
        "/recall",
        "recall_with",
        "Recall items for a user described in the request",
        "As GET, and more: inline `user` features win over stored ones, and `history` (item ids "
        "from oldest to newest) replaces the features that are made of it.",
        {
            200: Answer(
                "Items, best first.",
                (payloads.RecallAnswer,),
                {"warm": RECALL_WARM, "explained": RECALL_EXPLAINED},
                links=AN_ITEM,
            )
        },
        (*BODY, *WORK),
        HEAD,
        body=(payloads.RecallBody,),
        bodies={
            "stored user": {"user_id": "u42", "k": 100, "context": {"tab": "1"}},
            "unknown user with a history": {"history": ["v3", "v8"], "exclude": ["v3", "v8"]},
            "inline features": {"user": {"gender": "f", "age": 31}, "k": 20},
        },
        tag="recall",
        needs="recall",
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
        needs="recall",
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
        needs="recall",
    ),
)
