"""The recall use case: read, embed, search; for a batch of requests at once."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import orjson

from export.contract.schema import Record
from export.embedder import Embedder
from service.batcher import Batcher
from service.generation import Found, Generation
from service.history import fold_history, replaced
from service.observe import DEGRADED, HISTORY_UNKNOWN, RECALLS, STAGE_SECONDS
from service.recall_request import RecallRequest
from service.records import State, UserRecord, state_of
from service.refresh import Follower
from service.settings import Settings
from service.store import Store, StoreUnavailable

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class User:
    """A user as far as this request knows one."""

    record: Record
    state: State
    dropped: list[str]
    degraded: list[str]


@dataclass(frozen=True, slots=True)
class Recalled:
    """An answer: items with scores, best first, and how they were found."""

    user_id: str | None
    state: State
    dropped: list[str]
    version: str
    found: Found
    score: Literal["cosine", "popularity"]
    degraded: list[str]

    def encode(self, request_id: str) -> bytes:
        """Return the JSON body."""
        return orjson.dumps(
            {
                "user_id": self.user_id,
                "state": self.state,
                "dropped": self.dropped,
                "version": self.version,
                "items": self.found.items,
                "scores": self.found.scores,
                "score": self.score,
                "degraded": self.degraded,
                "exhausted": self.found.exhausted,
                "request_id": request_id,
            }
        )


class Recaller:
    """Answers recalls from one generation; concurrent ones share a store read, run and search."""

    def __init__(
        self,
        generation: Generation,
        embedder: Embedder,
        store: Store,
        follower: Follower,
        settings: Settings,
    ) -> None:
        self._generation = generation
        self._embedder = embedder
        self._store = store
        self._follower = follower
        self._after_wait_s = settings.after_wait_ms / 1000
        self._side = generation.schema.user
        self._by_history = replaced(self._side)
        self._batcher = Batcher(self._recall, settings.batch_recalls)

    async def recall(self, request: RecallRequest) -> Recalled:
        """Answer one request.

        One with `after` first waits until that log entry is applied here; if that takes too long
        the answer says `stale`.
        """
        is_stale = request.after is not None and not await self._follower.wait_for(
            request.after, self._after_wait_s
        )
        answer = await self._batcher.ask(request)
        if is_stale:
            answer = replace(answer, degraded=[*answer.degraded, "stale"])
        RECALLS.labels(answer.state, answer.version).inc()
        for reason in answer.degraded:
            DEGRADED.labels(reason).inc()
        return answer

    async def _recall(self, requests: Sequence[RecallRequest]) -> list[Recalled]:
        begun_s = time.perf_counter()
        stored = await self._read([one.user_id for one in requests if one.user_id is not None])
        read_s = time.perf_counter()
        STAGE_SECONDS.labels("store").observe(read_s - begun_s)
        users = [self._user(one, stored) for one in requests]
        found = self._search(requests, users)
        version, lists = self._generation.version, zip(requests, users, found, strict=True)
        return [
            Recalled(
                user_id=one.user_id,
                state=user.state,
                dropped=user.dropped,
                version=version,
                found=items,
                score="popularity" if user.state == "fallback" else "cosine",
                degraded=user.degraded,
            )
            for one, user, items in lists
        ]

    async def _read(self, ids: Sequence[str]) -> dict[str, UserRecord | None] | None:
        """Return what is stored of these users; None when the store does not answer."""
        if not ids:
            return {}
        distinct = list(dict.fromkeys(ids))
        try:
            return dict(zip(distinct, await self._store.get_users(distinct), strict=True))
        except StoreUnavailable as error:
            logger.warning("users not read", extra={"reason": str(error)})
            return None

    def _user(
        self, request: RecallRequest, stored: dict[str, UserRecord | None] | None
    ) -> User:
        """Join stored, inline and folded features, and say what is missing."""
        degraded: list[str] = []
        known = None
        if request.user_id is not None:
            if stored is None:
                degraded.append("store")
            else:
                known = stored[request.user_id]
        if known is not None and known.ignored:
            degraded.append("features")
        record = dict(known.record) if known is not None else {}
        if request.history is not None:
            folded, unknown = fold_history(request.history, self._side, self._generation)
            HISTORY_UNKNOWN.inc(unknown)
            record = {n: v for n, v in record.items() if n not in self._by_history} | folded
        if request.settled:
            kept = {name: v for name, v in record.items() if name not in request.settled}
            record = kept | request.user
        if request.cold:
            record = {name: v for name, v in record.items() if name not in self._side.preference}
        state, dropped = state_of(self._side, record)
        missing = [f"context.{n}" for n in self._side.context if n not in request.context]
        return User({**record, **request.context}, state, dropped + missing, degraded)

    def _search(
        self, requests: Sequence[RecallRequest], users: Sequence[User]
    ) -> list[Found]:
        """Return the nearest items of each user, or the popular ones where nothing is known."""
        begun_s = time.perf_counter()
        rows = [row for row, user in enumerate(users) if user.state != "fallback"]
        vectors = self._embedder.embed("user", [users[row].record for row in rows])
        embedded_s = time.perf_counter()
        STAGE_SECONDS.labels("embed").observe(embedded_s - begun_s)
        near = self._generation.search(
            vectors, [requests[row].k for row in rows], [requests[row].exclude for row in rows]
        )
        STAGE_SECONDS.labels("search").observe(time.perf_counter() - embedded_s)
        found = dict(zip(rows, near, strict=True))
        return [
            found[row] if row in found else self._generation.popular(one.k, one.exclude)
            for row, one in enumerate(requests)
        ]
