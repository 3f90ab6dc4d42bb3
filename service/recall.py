"""The recall use case: read, embed, search; for a batch of requests at once."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, Protocol, TypeVar

import orjson

from export.contract.errors import Fault, SchemaError
from export.embedder import Embedder
from service.batcher import Batcher
from service.duties.recall_monitor import RecallMonitor
from service.errors import InvalidRecord
from service.generation import Found, Generation
from service.http.wire import json_bytes
from service.index.view import Searches
from service.known_user import KnownUser, Stored, UserReader
from service.pace import Pace
from service.ranking import Ranked, Ranking
from service.recall_metrics import count_answers, count_stale, note_batch, time_recall
from service.recall_request import RecallRequest
from service.records import State, UserRecord
from service.settings import Settings
from service.stages import RequestTrace, note_stage, recorded_request
from service.store import StoreUnavailable

logger = logging.getLogger(__name__)

Looked = TypeVar("Looked")
Look = Callable[[Stored | None, KnownUser, Found], Looked]


class Users(Protocol):
    """What a recall asks the store."""

    async def get_users(self, ids: Sequence[str], /) -> list[UserRecord | StoreUnavailable | None]:
        """Return what is stored of users, in order; raises StoreUnavailable."""


class Log(Protocol):
    """What a recall asks the follower of the item log."""

    async def wait_for(self, log_id: str, timeout_s: float, /) -> bool:
        """Wait until a log entry is applied; False if that takes too long."""


class Asked(NamedTuple):
    """A request that waits for its batch, since when by the performance counter, and its trace."""

    request: RecallRequest
    at_s: float
    trace: RequestTrace | None


@dataclass(frozen=True, slots=True)
class Recalled:
    """An answer: items with scores, best first, and how they were found."""

    user_id: str | None
    state: State
    dropped: list[str]
    version: str
    found: Found
    score: Literal["cosine", "inner_product", "popularity"]
    degraded: list[str]
    ranked: Ranked | None = None

    def encode(self, request_id: str, **beside: object) -> bytes:
        """Return the JSON body; what is given `beside` stands in front."""
        begun_s = time.perf_counter()
        found, rank = self.found, {}
        if self.ranked is not None:
            found = self.ranked.found
            rank = {"rank": self.ranked.kind, "rank_scores": self.ranked.chances}
        body = json_bytes(
            {
                **beside,
                "user_id": self.user_id,
                "state": self.state,
                "dropped": self.dropped,
                "version": self.version,
                "items": orjson.Fragment(found.text),
                "scores": found.scores,
                "score": self.score,
                **rank,
                "degraded": self.degraded,
                "exhausted": found.exhausted,
                "request_id": request_id,
            }
        )
        note_stage("encode", begun_s)
        return body


class Recaller:
    """Answers recalls from one generation; concurrent ones share a store read, run and search."""

    def __init__(
        self,
        generation: Generation,
        embedder: Embedder,
        store: Users,
        follower: Log,
        settings: Settings,
        ranking: Ranking | None = None,
        monitor: RecallMonitor | None = None,
    ) -> None:
        self._ranking = ranking
        self._monitor = monitor
        self._generation = generation
        self._embedder = embedder
        self._store = store
        self._follower = follower
        self._after_wait_s = settings.after_wait_ms / 1000
        self._users = UserReader(generation.schema.user, generation, generation.bundle.concepts)
        self._store_answers = True
        self._pace = Pace(settings.batch_recalls)
        self._batcher = Batcher(self._recall, self._pace.batch)

    async def recall(self, request: RecallRequest) -> Recalled:
        """Answer one request.

        One with `after` first waits until that log entry is applied here; if that takes too long
        the answer says `stale`.
        """
        begun_s = time.perf_counter()
        is_stale = request.after is not None and not await self._applied(request.after)
        asked = Asked(request, time.perf_counter(), recorded_request.get())
        answer = await self._batcher.ask(asked)
        return _told(answer, begun_s, is_stale=is_stale)

    async def recall_all(self, requests: Sequence[RecallRequest]) -> list[Recalled | BaseException]:
        """Answer several, in order, in as few batches as can be; each as if it were alone.

        In place of an answer stands what was raised for it. They wait for what they name as
        `after` together, so no longer than one would.
        """
        begun_s = time.perf_counter()
        awaited = list({one.after for one in requests if one.after is not None})
        applied = await asyncio.gather(*map(self._applied, awaited))
        stale = {after for after, was in zip(awaited, applied, strict=True) if not was}
        asked_s, trace = time.perf_counter(), recorded_request.get()
        answers = await self._batcher.ask_all([Asked(one, asked_s, trace) for one in requests])
        return [
            _told(answer, begun_s, is_stale=one.after in stale)
            if isinstance(answer, Recalled)
            else answer
            for one, answer in zip(requests, answers, strict=True)
        ]

    async def recall_alone(
        self, request: RecallRequest, look: Look[Looked]
    ) -> tuple[Recalled, Looked]:
        """Answer one request apart from all others, so that it can be made again to the last bit.

        In what company a record is embedded or a candidate is ranked may change the last bit.

        Args:
            request: What is asked.
            look: Called with what was stored, known and found, at the moment of the search: before
                anything else has its turn.

        """
        begun_s = time.perf_counter()
        is_stale = request.after is not None and not await self._applied(request.after)
        stored = await self._read([] if request.user_id is None else [request.user_id])
        users, found = await self._find([request], stored, here=True)
        looked = look(stored, users[0], found[0])
        ranking = None if self._ranking is None else self._ranking.anew()
        ranked = await _rank(ranking, [request], users, found)
        [answer] = self._answers([request], users, found, ranked)
        return _told(answer, begun_s, is_stale=is_stale), looked

    async def _applied(self, after: str) -> bool:
        return await self._follower.wait_for(after, self._after_wait_s)

    async def _recall(self, asked: Sequence[Asked]) -> list[Recalled]:
        note_batch([one.at_s for one in asked])
        requests = [one.request for one in asked]
        traces = {one.trace: one.at_s for one in asked if one.trace is not None}
        if not traces:
            return await self._run(requests)
        now_s = time.perf_counter()
        for trace, at_s in traces.items():
            trace.stage("wait", at_s, now_s)
        first, *others = traces
        with first.batch(others, len(asked), self._generation.version):
            return await self._run(requests)

    async def _run(self, requests: Sequence[RecallRequest]) -> list[Recalled]:
        begun_s = time.perf_counter()
        stored = await self._read([one.user_id for one in requests if one.user_id is not None])
        note_stage("store", begun_s)
        users, found = await self._find(requests, stored)
        ranked = await _rank(self._ranking, requests, users, found)
        return self._answers(requests, users, found, ranked)

    async def _find(
        self, requests: Sequence[RecallRequest], stored: Stored | None, *, here: bool = False
    ) -> tuple[list[KnownUser], list[Found]]:
        """Return who asks, and what each finds; `here`: nobody else has a turn meanwhile."""
        users = [self._users.read(one, stored) for one in requests]
        try:
            return users, await self._search(requests, users, here=here)
        except SchemaError:
            if len(requests) > 1:
                raise  # the batcher asks again, one by one
            users = [_without_vector(requests[0], users[0])]
            return users, await self._search(requests, users, here=here)

    def _answers(
        self,
        requests: Sequence[RecallRequest],
        users: Sequence[KnownUser],
        found: Sequence[Found],
        ranked: Mapping[int, Ranked],
    ) -> list[Recalled]:
        similarity, version = self._generation.schema.similarity, self._generation.version
        count_answers(users, version)
        return [
            Recalled(
                user_id=one.user_id,
                state=user.state,
                dropped=user.dropped,
                version=version,
                found=items,
                score="popularity" if user.state == "fallback" else similarity,
                degraded=user.degraded,
                ranked=ranked.get(place),
            )
            for place, (one, user, items) in enumerate(zip(requests, users, found, strict=True))
        ]

    async def _read(self, ids: Sequence[str]) -> Stored | None:
        """Return what is stored of these users; None when the store does not answer."""
        if not ids:
            return {}
        distinct = list(dict.fromkeys(ids))
        try:
            users = await self._store.get_users(distinct)
        except StoreUnavailable as error:
            if self._store_answers:  # once an outage, not once a request
                logger.warning("users are not read", extra={"reason": str(error)})
            self._store_answers = False
            return None
        if not self._store_answers:
            logger.warning("users are read again")
        self._store_answers = True
        return dict(zip(distinct, users, strict=True))

    async def _search(
        self, requests: Sequence[RecallRequest], users: Sequence[KnownUser], *, here: bool
    ) -> list[Found]:
        """Return the nearest items of each user, or the popular ones where nothing is known."""
        begun_s = time.perf_counter()
        rows = [row for row, user in enumerate(users) if user.state != "fallback"]
        if not rows:
            return [self._generation.popular(one.k, one.exclude) for one in requests]
        vectors = self._embedder.embed(
            "user",
            [users[row].record for row in rows],
            [users[row].state == "warm" for row in rows],
        )
        note_stage("embed", begun_s)
        asked = Searches(
            self._generation.view,
            vectors,
            [requests[row].k for row in rows],
            [requests[row].exclude for row in rows],
        )
        near = await self._nearest(asked, here=here)
        found = dict(zip(rows, near, strict=True))
        return [
            found[row] if row in found else self._generation.popular(one.k, one.exclude)
            for row, one in enumerate(requests)
        ]

    async def _nearest(self, asked: Searches, *, here: bool) -> list[Found]:
        """Search, in a thread where one search alone would hold up the event loop."""
        begun_s = time.perf_counter()
        if here or not self._pace.is_slow:
            found, took_s = _timed(asked)
        else:
            found, took_s = await asyncio.to_thread(_timed, asked)
        note_stage("search", begun_s)
        self._pace.note(len(found), took_s)
        if self._monitor is not None:
            self._monitor.note(self._generation.version, asked, found)
        return found


def _timed(asked: Searches) -> tuple[list[Found], float]:
    """Search; return also the seconds of CPU that it took."""
    begun_s = time.thread_time()
    found = asked.run()
    return found, time.thread_time() - begun_s


async def _rank(
    ranking: Ranking | None,
    requests: Sequence[RecallRequest],
    users: Sequence[KnownUser],
    found: Sequence[Found],
) -> dict[int, Ranked]:
    """Return what was found in the ranker's order, for those who ask for it, by their place."""
    asking = [place for place, one in enumerate(requests) if one.rank is not None]
    if ranking is None or not asking:
        return {}
    ranked = await ranking.rank([(users[place], found[place]) for place in asking])
    return dict(zip(asking, ranked, strict=True))


def _told(answer: Recalled, begun_s: float, *, is_stale: bool) -> Recalled:
    """Return an answer that says so where it is stale; time it from its beginning on."""
    time_recall(answer.state, answer.version, begun_s)
    if not is_stale:
        return answer
    count_stale()
    return replace(answer, degraded=[*answer.degraded, "stale"])


def _without_vector(request: RecallRequest, user: KnownUser) -> KnownUser:
    """Return what is left of a user whose finite features are so large that the tower overflows.

    Raises:
        InvalidRecord: They came with the request.

    """
    if request.settled:
        expected = "features of a size that the tower was trained on"
        raise InvalidRecord([Fault("user", "features without a vector", expected)])
    context = [one for one in user.dropped if one.startswith("context.")]
    return KnownUser(
        {}, "fallback", ["content", "preference", *context], [*user.degraded, "features"]
    )
