"""A user as far as one request knows them: stored, folded from history, and given inline."""

from collections.abc import Container, Mapping
from dataclasses import dataclass

from export.contract.concepts import ConceptTable
from export.contract.features import Raw
from export.contract.side import Record, Side
from service.history import Catalogue, fold_history, replaced
from service.observe import HISTORY_UNKNOWN
from service.records import State, UserRecord, state_of
from service.store import StoreUnavailable

Stored = Mapping[str, UserRecord | StoreUnavailable | None]
"""What is stored of users by id; StoreUnavailable for one of whom that is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedUser:
    """What a request says of its user; every value can be used.

    user: inline features that are known. settled: the features that inline values settle, known
    or null; what is stored of them does not count. history: None if not given. cold: answer as if
    no preference were known.
    """

    user_id: str | None = None
    user: Record
    settled: frozenset[str]
    context: Record
    history: list[str] | None
    cold: bool = False


@dataclass(frozen=True, slots=True)
class KnownUser:
    """What the tower is given, and how the answer is made of it."""

    record: Record
    state: State
    dropped: list[str]
    degraded: list[str]


class UserReader:
    """Joins what is known of users, by one schema and catalogue."""

    def __init__(
        self, side: Side, catalogue: Catalogue, concepts: ConceptTable | None = None
    ) -> None:
        self._side = side
        self._concepts = concepts if side.concepts else None
        self._catalogue = catalogue
        self._by_history = replaced(side)

    def read(self, request: AskedUser, stored: Stored | None) -> KnownUser:
        """Return the user of a request; a mapping that is None is a store that did not answer.

        Inline features win over folded ones, and these over stored ones.
        """
        record, degraded = self._stored(request.user_id, stored)
        met = 0
        if request.history is not None:
            folded, met = self._folded(request.history)
            record = _without(record, self._by_history) | folded
        if request.settled:
            record = {**_without(record, request.settled), **request.user}
        if request.cold:
            record = _without(record, self._side.preference)
        if self._concepts is not None:  # what the request says is missing stays so
            told = self._concepts.join("user", record)
            record = _without(told, request.settled - record.keys())
        interactions = self._at_least(record, met) if met else None
        state, dropped = state_of(self._side, record, interactions)
        asked = [one for one in self._side.context if one in self._side.given]
        missing = [f"context.{one}" for one in asked if one not in request.context]
        return KnownUser({**record, **request.context}, state, [*dropped, *missing], degraded)

    def _stored(self, one: str | None, stored: Stored | None) -> tuple[Record, list[str]]:
        if one is None:
            return {}, []
        if stored is None:
            return {}, ["store"]
        user = stored[one]
        if user is None:
            return {}, []
        if isinstance(user, StoreUnavailable):
            return {}, ["store"]
        return user.record, ["features"] if user.ignored else []

    def _folded(self, history: list[str]) -> tuple[dict[str, Raw], int]:
        """Return the features that a history gives, and how many of its items are served."""
        folded, unknown = fold_history(history, self._side, self._catalogue)
        HISTORY_UNKNOWN.inc(unknown)
        return folded, len(history) - unknown

    def _at_least(self, record: Record, met: int) -> float:
        """Return the interactions that a user with a history has: as stored, or those in it."""
        told = record.get(self._side.counter or "")
        return max(float(met), told) if isinstance(told, float) else float(met)


def _without(record: Record, names: Container[str]) -> dict[str, Raw]:
    return {name: value for name, value in record.items() if name not in names}
