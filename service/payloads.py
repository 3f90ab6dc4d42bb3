"""Bodies of requests and answers, as they are on the wire and in the OpenAPI document."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, StrictBool, StrictInt, StrictStr

from export.contract.strict import Strict
from service.http.shapes import EXACT, LIMITS, AsWhole, Count, Id, LogIdText, at_most
from service.records import State
from service.replay.debug import Debug
from service.store.durability import Level

Features = dict[str, Any]
"""Flat: feature name to value; null means missing. The schema knows each feature's group."""

Rank = Literal["din", "base"]
"""The kinds of rankers."""

RANK = "Score what is recalled by this ranker; 422 where the bundle has none of the kind."

DEBUG = "Tell how the answer was made; 403 unless an administrator asks."

HISTORY = "Item ids from oldest to newest; replaces `last`, `profile` and `item_vectors` features."


Expected = Annotated[
    Annotated[StrictInt, Field(ge=0, lt=EXACT), AsWhole] | None,
    Field(description="The pointer's generation; 409 if it is another by now."),
]


class ProblemBody(Strict):
    """RFC 9457; a problem's own members come beside these."""

    model_config = ConfigDict(extra="allow")
    type: str
    title: str
    status: int
    detail: str
    request_id: str | None = None


class RecallBody(Strict):
    """What `POST /recall` takes; inline features win over stored ones."""

    user_id: Id | None = None
    user: Features | None = None
    context: Features = {}
    history: Annotated[list[StrictStr], at_most(LIMITS.history)] | None = Field(
        None, description=HISTORY
    )
    k: Count | None = Field(None, description="1 to 1000; 100 if left out.")
    exclude: Annotated[list[StrictStr], at_most(LIMITS.exclude)] = []
    cold: StrictBool = Field(False, description="Answer as if no preference were known.")
    after: LogIdText | None = Field(
        None, description="A `log_id`: wait up to 250 ms until this replica has applied it."
    )
    rank: Rank | None = Field(None, description=RANK)
    debug: StrictBool = Field(False, description=DEBUG)


class RecallBatch(Strict):
    """What `POST /recall/batch` takes."""

    requests: Annotated[list[RecallBody], at_most(LIMITS.requests)]


class RecallAnswer(Strict):
    """Items, best first; `scores` is parallel to `items`, and so is `rank_scores`."""

    user_id: str | None
    state: State
    dropped: list[str] = Field(description="What the answer was made without.")
    version: str
    items: list[str]
    scores: list[float]
    score: Literal["cosine", "inner_product", "popularity"]
    rank: Rank | None = Field(
        None, description="The ranker by whose scores items are ordered; absent if none was asked."
    )
    rank_scores: list[float] | None = Field(
        None, description="Chances of a click, 0 to 1; absent if no ranker was asked for."
    )
    degraded: list[Literal["store", "features", "stale"]]
    exhausted: bool = Field(description="There are fewer than `k` items to give.")
    request_id: str
    debug: Debug | None = Field(None, description="Only where it was asked for.")


class RecallInBatch(RecallAnswer):
    """An answer in a batch, with the status it would have had alone."""

    status: Literal[200]


class RecallBatchAnswer(Strict):
    """One result for each request, in order."""

    results: list[RecallInBatch | ProblemBody]


class ItemRecord(Strict):
    """An item to post: its id and its features, flat."""

    model_config = ConfigDict(extra="allow")
    id: Id


class ItemBatch(Strict):
    """Several items to post."""

    items: Annotated[list[ItemRecord], at_most(LIMITS.items)]


class UserRecord(Strict):
    """A user's features, flat; the id stands in the path and may be repeated."""

    model_config = ConfigDict(extra="allow")
    id: Id = Field(default_factory=str)


class Patch(Strict):
    """Features to change, flat; null removes one, and `"preference": null` the whole group."""

    model_config = ConfigDict(extra="allow")
    id: Id = Field(default_factory=str)


class ItemPosted(Strict):
    """What became of a posted item."""

    id: str
    state: State
    dropped: list[str]
    version: str
    vector: list[float] | None = Field(None, description="Unit length; absent with vector=false.")
    searchable: bool
    durable: bool
    not_durable: str | None = Field(None, description="Why not; absent where it is durable.")
    log_id: str


class ItemPostedInBatch(ItemPosted):
    """A posted item in a batch, with the status it would have had alone."""

    status: Literal[200, 201]


class ItemBatchAnswer(Strict):
    """One result for each item, in order."""

    results: list[ItemPostedInBatch | ProblemBody]
    log_id: str | None = Field(description="The last one; pass it as `after`.")


class StoredItem(Strict):
    """An item as it is served; `record` is flat and can be posted again as it is."""

    id: str
    record: Features
    state: State
    dropped: list[str]
    version: str
    vector: list[float]


class StoredUser(Strict):
    """What is stored of a user; `record` is flat and can be put again as it is."""

    id: str
    record: Features
    state: State
    dropped: list[str] = Field(description="What a recall for this user is made without.")


class SimilarAnswer(Strict):
    """Items near to an item, best first; `state` and `dropped` tell how its vector was made."""

    id: str
    state: State
    dropped: list[str]
    version: str
    items: list[str]
    scores: list[float]
    score: Literal["cosine"]
    degraded: list[Literal["stale"]]
    exhausted: bool = Field(description="There are fewer than `k` items to give.")
    request_id: str


class EmbedRecord(Strict):
    """Features, flat. The id is no must."""

    model_config = ConfigDict(extra="allow")
    id: Id | None = None


class EmbedUser(EmbedRecord):
    """A user's features, those of the context among them."""

    history: Annotated[list[str], at_most(LIMITS.history)] | None = Field(None, description=HISTORY)


class EmbedBody(Strict):
    """Records to embed, of one side or both."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})
    users: Annotated[list[EmbedUser], at_most(LIMITS.items)] = Field(default_factory=list)
    items: Annotated[list[EmbedRecord], at_most(LIMITS.items)] = Field(default_factory=list)


class EmbeddedRecord(Strict):
    """A vector of unit length, and how it was made."""

    status: Literal[200]
    id: str | None
    state: State
    dropped: list[str]
    vector: list[float]


class EmbedAnswer(Strict):
    """One result for each record, in order; a side that was not given is left out."""

    version: str
    users: list[EmbeddedRecord | ProblemBody] | None = None
    items: list[EmbeddedRecord | ProblemBody] | None = None


class Candidate(Strict):
    """A version that is tried on a share of users."""

    version: str
    share: Annotated[float, Field(gt=0, lt=1)]


class CandidateReady(Candidate):
    """How far a candidate is."""

    log_id: str
    lag: int
    checksum: str


class VersionAnswer(Strict):
    """What is served, and the features that it understands."""

    version: str
    candidate: Candidate | None = Field(description="What is tried; its features may be others.")
    code: str
    schema_hash: str
    dim: int
    similarity: Literal["cosine", "inner_product"]
    ranker: Rank | None = Field(description="What `rank` may be; null: the bundle has no ranker.")
    lineage: Features
    features: dict[Literal["user", "item"], dict[str, dict[str, Features]]]


class LiveAnswer(Strict):
    """The process is alive."""

    state: Literal["alive"]


ReadyState = Literal["loading", "replaying", "ready", "degraded", "draining"]


class ReadyAnswer(Strict):
    """How far this replica is."""

    state: ReadyState
    version: str | None
    log_id: str | None
    lag: Annotated[int | None, Field(description="Entries of the item log not yet applied.")]
    checksum: Annotated[
        str | None,
        Field(
            description="Of the ids and revs of all changed items; replicas of one Redis that "
            "have the same have applied the same."
        ),
    ]
    candidate: CandidateReady | None
    refused: Annotated[
        str | None, Field(description="What was to be served and cannot be, and why.")
    ]
    waiting_for: Literal["bundle", "store", "index"] | None
    durability: Annotated[
        Level | None, Field(description="What an acknowledged item survives; null: not known yet.")
    ]
    remedy: Annotated[
        str | None, Field(description="What to do where that is less than was asked for.")
    ]


class Activation(Strict):
    """What `POST /bundles/{version}/activate` takes; nothing must be given."""

    share: Annotated[
        float, Field(strict=True, gt=0, le=1, description="Of the users, to try it; 1: all.")
    ] = 1.0
    expect: Expected = None


class Rollback(Strict):
    """What `POST /bundles/rollback` takes; nothing must be given."""

    expect: Expected = None


class PointerFacts(Strict):
    """Which version serves whom."""

    generation: Annotated[int, Field(ge=1, description="Grows by 1 with each change.")]
    current: str
    candidate: str | None
    share: Annotated[float, Field(ge=0, lt=1, description="The candidate's share of users.")]
    previous: Annotated[str | None, Field(description="What a rollback makes current again.")]


class PointerChange(Strict):
    """The pointer before and after; the same where there was nothing to change."""

    before: PointerFacts | None
    after: PointerFacts


class BundleFacts(Strict):
    """A version in the folder of bundles, by its manifest."""

    version: str
    size_bytes: int
    created: datetime | None
    items: int | None
    fault: Annotated[str | None, Field(description="What is wrong with its manifest.")]
    roles: list[Literal["current", "candidate", "previous"]]
    share: float | None


class BundlesAnswer(Strict):
    """What there is to be served, and what is."""

    pointer: PointerFacts | None
    unknown: Annotated[str | None, Field(description="Why the pointer could not be read.")]
    bundles: list[BundleFacts]
