"""One recall as asked: a wire body held against the schema and the limits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from export.contract.errors import MOST_TOLD, Fault
from export.contract.features import Mismatch, Raw
from export.contract.side import Record, Side
from service.errors import InvalidRecord
from service.http.bounds import list_of, whole_number
from service.http.query import checked_id
from service.known_user import AskedUser
from service.payloads import RecallBody
from service.settings import Limits, Settings
from service.store import LogId


@dataclass(frozen=True, slots=True, kw_only=True)
class RecallRequest(AskedUser):
    """What is asked, for whom; every value can be used."""

    k: int
    exclude: frozenset[str]
    after: str | None
    rank: str | None = None
    debug: bool = False

    def as_body(self) -> dict[str, object]:
        """Return a body of `POST /recall` that asks the same, but for `debug`."""
        return {
            "user_id": self.user_id,
            "user": {name: self.user.get(name) for name in sorted(self.settled)},
            "context": self.context,
            "history": self.history,
            "k": self.k,
            "exclude": sorted(self.exclude),
            "cold": self.cold,
            "after": self.after,
            "rank": self.rank,
        }


def check_recall(
    body: RecallBody,
    side: Side,
    settings: Settings,
    *,
    from_query: bool = False,
    ranker: str | None = None,
) -> RecallRequest:
    """Hold a body against the schema's user side and the limits.

    Args:
        body: As it came.
        side: The user side of the schema.
        settings: For the limits and the default k.
        from_query: Whether context values are text that each feature reads in its own way.
        ranker: The kind of ranker that is served, if there is one.

    Raises:
        InvalidRecord: Names every value at fault.

    """
    limits = settings.limits
    k = settings.k if body.k is None else body.k
    faults = over_limits(k, body.exclude, body.after, limits)
    if len(body.history or ()) > limits.history:
        expected = list_of("ids", limits.history)
        faults.append(Fault("history", f"{len(body.history or ())} ids", expected))
    if body.rank is not None and body.rank != ranker:
        expected = "none, the bundle that is served has no ranker"
        faults.append(Fault.of("rank", body.rank, expected if ranker is None else repr(ranker)))
    if faults:
        raise InvalidRecord(faults)
    user, settled = _inline(body.user, side) if body.user else ({}, frozenset())
    return RecallRequest(
        user_id=None if body.user_id is None else checked_id(body.user_id, "user_id"),
        user=user,
        settled=settled,
        context=_context(body.context, side, from_query=from_query) if body.context else {},
        history=body.history,
        k=k,
        exclude=frozenset(body.exclude),
        cold=body.cold,
        after=body.after,
        rank=body.rank,
        debug=body.debug,
    )


def over_limits(k: int, exclude: Sequence[str], after: str | None, limits: Limits) -> list[Fault]:
    """Return what is wrong with how much is asked for, and with the log id that is waited for."""
    faults = []
    if not 1 <= k <= limits.k:
        faults.append(Fault.of("k", k, whole_number(limits.k)))
    if len(exclude) > limits.exclude:
        faults.append(Fault("exclude", f"{len(exclude)} ids", list_of("ids", limits.exclude)))
    if after is not None and not _is_log_id(after):
        faults.append(Fault.of("after", after, "a log_id such as '1732000000000-0'"))
    return faults


def _is_log_id(text: str) -> bool:
    try:
        LogId.parse(text)
    except ValueError:
        return False
    return True


def _inline(features: Mapping[str, object], side: Side) -> tuple[Record, frozenset[str]]:
    """Parse inline features; `"preference": null` settles the whole group, as it does in a PUT."""
    values = dict(features)
    settled: set[str] = set()
    if "preference" in values and values["preference"] is None:
        del values["preference"]
        settled |= side.preference.keys()
    for name in side.context.keys() & values.keys():
        raise InvalidRecord.of(name, values[name], "this feature in `context`: it is never stored")
    return side.parse(values), frozenset(settled | values.keys())


def _context(values: Mapping[str, object], side: Side, *, from_query: bool) -> Record:
    known: dict[str, Raw] = {}
    faults: list[Fault] = []
    for name, value in values.items():
        if len(faults) == MOST_TOLD:
            break
        feature = side.context.get(name)
        if feature is None:
            names = ", ".join(side.context) or "none"
            faults.append(
                Fault.of(f"context.{name}", value, f"one of the context features: {names}")
            )
            continue
        try:
            raw = feature.text(str(value)) if from_query else feature.parse(value)
        except Mismatch as mismatch:
            faults.append(Fault.of(f"context.{name}", value, str(mismatch)))
            continue
        if raw is not None:
            known[name] = raw
    if faults:
        raise InvalidRecord(faults)
    return known
