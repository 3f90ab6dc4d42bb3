"""The ranking of what was recalled: the bundle's ranker scores it again, and so it is ordered."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from export.contract.ranker import Codes, Ranker
from service.generation import Generation
from service.index.found import Found
from service.index.top import Scores
from service.known_user import KnownUser
from service.observe import STAGE_SECONDS
from service.stages import trace_stage

RANK_SECONDS = STAGE_SECONDS.labels("rank")

CANDIDATES_AT_ONCE = 128
"""Candidates scored at once, some 1.5 ms, before others on the event loop have their turn.

Many more leave a core's cache: 1,000 in one run took 40 to 100 ms."""

KEPT_MOST = 100_000
"""Codes of written items that are kept; when there are more, all are made again when needed."""


@dataclass(frozen=True, slots=True)
class Ranked:
    """What was found in the order of a ranker, with its scores."""

    kind: str
    found: Found
    chances: Scores


class Ranking:
    """Scores what recalls of one generation found.

    Of an item, scoring reads its code: from the bundle's table, or where the item was written
    since, made when it is first needed and kept for as long as the item is not written again.
    """

    def __init__(self, generation: Generation, ranker: Ranker) -> None:
        assert generation.bundle.ranker is not None
        self._generation = generation
        self._ranker = ranker
        self._table: Codes = generation.bundle.ranker.codes
        self._made: dict[str, tuple[int, Codes]] = {}

    def anew(self) -> "Ranking":
        """Return one that has kept no code: which items were coded together may change a bit."""
        return Ranking(self._generation, self._ranker)

    async def rank(self, asked: Sequence[tuple[KnownUser, Found]]) -> list[Ranked]:
        """Order what was found for each user by the chance of a click; equal ones stay in order.

        Users, histories and candidates are read before anything else has its turn.
        """
        ranked_s = begun_s = time.perf_counter()
        histories = [self._history(user) for user, _ in asked]
        codes = [self.codes(found.items) for _, found in asked]
        sizes = [len(own) for own in codes]
        spent_s = time.perf_counter() - begun_s
        user = np.repeat(np.arange(len(asked)), sizes)
        items = np.concatenate(codes) if codes else self._table[:0]
        chances = np.empty(len(user), dtype=np.float32)
        for start in range(0, len(user), CANDIDATES_AT_ONCE):
            begun_s = time.perf_counter()
            part = slice(start, start + CANDIDATES_AT_ONCE)
            users, place = np.unique(user[part], return_inverse=True)
            known = [asked[one][0] for one in users]
            chances[part] = self._ranker.score(
                [one.record for one in known],
                [one.state == "warm" for one in known],
                [histories[one] for one in users],
                items[part],
                place,
            )
            spent_s += time.perf_counter() - begun_s
            await asyncio.sleep(0)
        RANK_SECONDS.observe(spent_s)
        trace_stage("rank", ranked_s, time.perf_counter())
        kind, of_each = self._ranker.facts.kind, np.split(chances, np.cumsum(sizes)[:-1])
        return [_ordered(kind, found, own) for (_, found), own in zip(asked, of_each, strict=True)]

    def codes(self, ids: Sequence[str]) -> Codes:
        """Return float32[ids, width] of items that are served, as they are now."""
        codes: Codes = np.zeros((len(ids), self._ranker.facts.width), dtype=np.float32)
        places = self._generation.catalogue.ids.places(ids)
        codes[places >= 0] = self._table[places[places >= 0]]
        missing = []
        for at, one in enumerate(ids):
            rev = self._generation.known_rev(one)
            made = self._made.get(one) if rev else None
            if made is not None and made[0] == rev:
                codes[at] = made[1]
            elif rev:
                missing.append(at)
        if missing:
            codes[missing] = self._make([ids[at] for at in missing])
        return codes

    def _history(self, user: KnownUser) -> Codes:
        """Return the codes of the newest items of a user's history, less those not served."""
        facts = self._ranker.facts
        met = user.record.get(facts.history) if user.state == "warm" else None
        if not isinstance(met, list):
            return self._table[:0]
        newest: list[str] = []
        for one in reversed(met):
            if len(newest) == facts.n:
                break
            if one in self._generation:
                newest.append(one)
        return self.codes(newest[::-1])

    def _make(self, ids: Sequence[str]) -> Codes:
        """Make the codes of written items as they are served, and keep them."""
        served = [self._generation.get(one) for one in ids]
        made = self._ranker.code([{} if item is None else item.record for item in served])
        if len(self._made) + len(ids) > KEPT_MOST:
            self._made.clear()
        for one, code in zip(ids, made, strict=True):
            self._made[one] = self._generation.known_rev(one), code
        return made


def _ordered(kind: str, found: Found, chances: Scores) -> Ranked:
    order = np.argsort(-chances, kind="stable")
    items = found.items
    ranked = [items[at] for at in order.tolist()]
    again = Found.of(ranked, found.scores[order], exhausted=found.exhausted)
    return Ranked(kind, again, chances[order])
