"""Replay: makes an answer again, from what its `debug` tells, a bundle and a snapshot."""

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from pydantic import ValidationError

from export.contract.errors import ConfigError
from export.contract.schema import explain
from export.contract.side import Side
from export.embedder import Embedder
from export.ranker import open_ranker
from service.errors import InvalidRecord
from service.generation import Generation
from service.http.bodies import read_recall_body
from service.ranking import Ranking
from service.recall import Recaller
from service.recall_request import RecallRequest, check_recall
from service.records import UserRecord, read_groups
from service.replay.debug import Debug
from service.replay.explainer import Explainer
from service.replay.state import NotReplayable, State
from service.settings import Limits, Settings
from service.store import StoreUnavailable

LIMITLESS = Settings(
    limits=Limits(k=1 << 40, exclude=1 << 40, history=1 << 40), snapshots_kept=0, monitor_share=0
)

COMPARED = ("state", "dropped", "score", "user", "vector", "candidates", "items", "scores")
COMPARED_LAST = ("rank", "rank_scores", "exhausted")


@dataclass(frozen=True)
class Recorded:
    """An answer that was given, with how it was made."""

    answer: dict[str, Any]
    debug: Debug
    request: dict[str, Any]

    @classmethod
    def read(cls, path: Path) -> "Recorded":
        """Read an answer with `debug`; a `request` beside it is asked in place of its own.

        Raises:
            ConfigError: It is no such file.

        """
        try:
            answer = orjson.loads(path.read_bytes())
        except orjson.JSONDecodeError as error:
            raise ConfigError(f"{path}: not JSON: {error}") from error
        if not isinstance(answer, dict) or "debug" not in answer:
            raise ConfigError(f"{path}: no answer of a recall that was asked with debug")
        try:
            debug = Debug.model_validate(answer["debug"])
        except ValidationError as error:
            raise ConfigError(f"{path}: debug: {explain(error)}") from error
        request = answer.get("request", debug.request)
        return cls(answer, debug, {**request, "debug": True})

    @property
    def was_answered(self) -> bool:
        """Whether there are items to compare with."""
        return "items" in self.answer and self.request == {**self.debug.request, "debug": True}


class Told:
    """What the store and the log told the recall, told again."""

    def __init__(self, recorded: Recorded, side: Side) -> None:
        self._debug = recorded.debug
        self._is_stale = "stale" in recorded.answer.get("degraded", ())
        self._side = side

    async def get_users(self, ids: Sequence[str]) -> list[UserRecord | StoreUnavailable | None]:
        """Return the user as they were read."""
        if self._debug.path.store == "no answer":
            raise StoreUnavailable("as it was")
        stored = self._debug.stored
        if stored is None:
            return [None] * len(ids)
        groups = read_groups(self._side, stored.model_dump())
        return [UserRecord(one, *groups[:2], ignored=stored.ignored) for one in ids]

    async def wait_for(self, log_id: str, timeout_s: float) -> bool:
        """Say whether the entry was there in time."""
        del log_id, timeout_s
        return not self._is_stale


def replay(recorded: Recorded, generation: Generation, state: State) -> dict[str, Any]:
    """Make an answer again, by the code that serves; return it as it would be on the wire.

    Raises:
        NotReplayable: The items are not those that the answer was made of.
        ConfigError: The request cannot be asked of this bundle.

    """
    state.apply_to(generation, recorded.debug)
    embedder = Embedder.open(generation.bundle.layout, generation.schema)
    bundle, ranking = generation.bundle, None
    if bundle.ranker is not None:
        ranker = open_ranker(bundle.layout, bundle.schema, bundle.ranker.facts)
        ranking = Ranking(generation, ranker)
    told = Told(recorded, generation.schema.user)
    recaller = Recaller(generation, embedder, told, told, LIMITLESS, ranking)
    explainer = Explainer(recaller, generation, embedder)
    asked = _asked(recorded, generation)
    answer = asyncio.run(explainer.recall(asked)).encode("replay")
    made: dict[str, Any] = orjson.loads(answer)
    return made


def _asked(recorded: Recorded, generation: Generation) -> RecallRequest:
    side, ranker = generation.schema.user, generation.ranker
    try:
        body = read_recall_body(recorded.request, LIMITLESS.limits)
        return check_recall(body, side, LIMITLESS, ranker=ranker)
    except InvalidRecord as error:
        raise ConfigError(f"request: {error.detail}") from error


def difference(was: dict[str, Any], now: dict[str, Any]) -> str | None:
    """Say where two answers differ first, in the order in which they are made; None: nowhere."""
    for name in (*COMPARED, *COMPARED_LAST):
        before, after = _member(was, name), _member(now, name)
        if before != after:
            return f"{name}: {_first(before, after)}; {_alike(was, now)}"
    return None


def _member(answer: dict[str, Any], name: str) -> Any:
    return answer["debug"][name] if name in answer["debug"] else answer.get(name)


def _first(before: Any, after: Any) -> str:
    """Tell of the first place in which two values differ."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in [*before, *after]:
            if before.get(key) != after.get(key):
                return f"{key}: {_first(before.get(key), after.get(key))}"
    if isinstance(before, list) and isinstance(after, list):
        for place, (one, other) in enumerate(zip(before, after, strict=False)):
            if one != other:
                return f"at place {place} was {one!r}, is {other!r}"
        return f"were {len(before)}, are {len(after)}"
    return f"was {before!r}, is {after!r}"


def _alike(was: dict[str, Any], now: dict[str, Any]) -> str:
    scores = dict(zip(now["items"], now["scores"], strict=True))
    both = [
        (score, scores[one])
        for one, score in zip(was["items"], was["scores"], strict=True)
        if one in scores
    ]
    apart = max((math.fabs(one - other) for one, other in both), default=0.0)
    return f"of {len(was['items'])} items {len(both)} are the same, scores {apart:.1g} apart"


def doubts(debug: Debug, now: Debug) -> list[str]:
    """Say why an answer that was made again may differ, although the items are the same."""
    found = []
    if not debug.index.main.from_bundle:
        found.append(
            f"it was searched in a main index of {debug.index.main.rows} items that was built "
            "while serving, and this one is the bundle's"
        )
    for name, rows in debug.index.others.items():
        found.append(f"{rows} of its items were in the {name} index, which cannot be built again")
    if debug.index.delta.vectors != now.index.delta.vectors:
        found.append("vectors of posted items were computed in another process")
    for name, version in debug.made_by.items():
        if now.made_by.get(name) != version:
            found.append(f"it was made by {name} {version}, this is {now.made_by.get(name)}")
    return found


__all__ = ["NotReplayable", "Recorded", "difference", "doubts", "replay"]
