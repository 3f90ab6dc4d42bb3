"""What an answer with `debug` tells beside its items: with the request, enough to make it again."""

from typing import Any, Literal

from pydantic import ConfigDict, Field, model_validator

from export.contract.strict import Strict
from service.records import State


class Told(Strict):
    """A part of `debug`, which may grow members that this code does not know."""

    model_config = ConfigDict(extra="ignore")


class PointerTold(Told):
    """Whom which version serves, and how often that was changed."""

    generation: int
    current: str
    candidate: str | None
    share: float


class HistoryTold(Told):
    """What became of the `history` of the request."""

    ids: int
    known: int = Field(description="Of these, items that are served.")
    features: list[str] = Field(description="What was made of it, for this user.")


class PathTold(Told):
    """How the answer was made, stage by stage."""

    state: State
    store: Literal["not asked", "no answer", "nothing", "read"] = Field(
        description="What became of reading the user; `nothing`: nothing is stored."
    )
    history: HistoryTold | None
    search: Literal["nearest", "popular"]
    exact: bool = Field(description="Whether the main index compared all of its rows.")
    rank: str | None


class StoredTold(Told):
    """What was read of the user."""

    content: dict[str, Any] | None
    preference: dict[str, Any] | None
    ignored: int = Field(description="Stored values that this version cannot read.")


class UserTold(Told):
    """What the tower was given."""

    content: dict[str, Any]
    preference: dict[str, Any]
    context: dict[str, Any]
    present: bool = Field(description="Whether the preference counts.")


class CandidatesTold(Told):
    """What the search finds when nothing is excluded: `k`, and as many more as were excluded."""

    items: list[str]
    scores: list[float]
    parts: list[str] = Field(
        description="Where each is from: `main` or `delta`; of popular items `bundle` or `fresh`."
    )


class ExcludedTold(Told):
    """A candidate that is not in the answer although it is good enough."""

    id: str
    place: int = Field(description="Among the candidates, from 0.")
    why: Literal["exclude"]


class MainTold(Told):
    """The main index."""

    rows: int
    live: int
    from_bundle: bool = Field(description="False: it was built anew of what has changed since.")
    settings: dict[str, Any] | None = Field(description="Its kind and options, if of the bundle.")


class DeltaTold(Told):
    """The rows that came after the main index; in what place one is changes a score's last bit."""

    rows: int
    items: list[str] = Field(description="Those that are live, by place.")
    places: list[int]
    vectors: str = Field(description="A digest of their vectors.")

    @model_validator(mode="after")
    def _has_a_place_for_each(self) -> "DeltaTold":
        places = set(self.places)
        if not len(set(self.items)) == len(self.items) == len(self.places) == len(places):
            raise ValueError("expected as many places as items, all distinct")
        if places and not (min(places) >= 0 and max(places) < self.rows):
            raise ValueError(f"expected places from 0 to {self.rows - 1}")
        return self


class IndexTold(Told):
    """What was searched."""

    main: MainTold
    delta: DeltaTold
    others: dict[str, int] = Field(description="Rows of further parts, by name.")


class Debug(Told):
    """How an answer was made."""

    request: dict[str, Any] = Field(description="As a body of `POST /recall`.")
    bundle: str = Field(description="A digest of the bundle's files.")
    pointer: PointerTold | None
    log_id: str = Field(description="Up to where the item log was applied at the search.")
    checksum: str = Field(description="Of the changes that were applied, as `/readyz` has it.")
    changes: int
    highest_rev: int
    path: PathTold
    stored: StoredTold | None
    user: UserTold
    vector: list[float] | None = Field(description="Null where nothing is known of the user.")
    candidates: CandidatesTold
    excluded: list[ExcludedTold]
    index: IndexTold
    made_by: dict[str, str] = Field(description="Versions of what computes.")
