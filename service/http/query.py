"""The raw request target: query strings, and ids in paths, decoded once and strictly."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import get_args
from urllib.parse import unquote_to_bytes

from export.contract.errors import Fault
from export.contract.tables import id_fault
from service.errors import InvalidRecord
from service.http.bounds import read_whole, size, whole_number
from service.payloads import Rank, RecallBody
from service.settings import Limits

CONTEXT = "context."
RECALL = ("user_id", "k", "exclude", "cold", "after", "rank", "debug", "context.<feature>")
SIMILAR = ("k", "exclude", "after")
A_RANKER = f"a ranker: {' or '.join(get_args(Rank))}"
TRUE_OR_FALSE = "true or false"
TRUTH = {"true": True, "1": True, "false": False, "0": False}


@dataclass(frozen=True, slots=True)
class SimilarQuery:
    """What `GET /items/{id}/similar` asks for."""

    k: int | None
    exclude: list[str]
    after: str | None


def decode(text: str, name: str, *, plus_is_space: bool = True) -> str:
    """Decode percent-encoded text; bytes that are no UTF-8 are a fault of `name`.

    Raises:
        InvalidRecord: The bytes are no UTF-8.

    """
    if plus_is_space:
        text = text.replace("+", " ")
    if "%" not in text and text.isascii():
        return text
    try:
        # Servers hand raw bytes on as latin-1; what a client left unencoded is UTF-8 as well.
        return unquote_to_bytes(text.encode("latin-1")).decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidRecord.of(name, text, "percent-encoded UTF-8") from None


def path_id(raw: str) -> str:
    """Decode an id from one segment of the still encoded path (`a%2Fb` is the id `a/b`).

    Raises:
        InvalidRecord: It is no id.

    """
    return checked_id(decode(raw, "id", plus_is_space=False), "id")


def checked_id(value: object, name: str) -> str:
    """Return an id that is one.

    Raises:
        InvalidRecord: It is empty, over 256 bytes, or holds control characters.

    """
    if fault := id_fault(value):
        raise InvalidRecord.of(name, value, fault)
    return str(value)


def read_recall_query(query: bytes, limits: Limits) -> RecallBody:
    """Read the query string of `GET /recall`; values of context features stay text.

    A comma separates excluded ids before decoding, so `%2C` is a comma inside of one.

    Raises:
        InvalidRecord: Names every parameter at fault.

    """
    given, faults = _read(query, limits, RECALL)
    if "user_id" not in given.single:
        faults.append(Fault.of("user_id", None, "a user's id; POST /recall can do without"))
    k, cold = _whole(given, "k", limits.k, faults), _truth(given, "cold", faults)
    rank, debug = _rank(given, faults), _truth(given, "debug", faults)
    if faults:
        raise InvalidRecord(faults)
    return RecallBody(
        user_id=given.single["user_id"],
        context={name.removeprefix(CONTEXT): text for name, text in given.context.items()},
        k=k,
        exclude=given.exclude,
        cold=bool(cold),
        after=given.single.get("after"),
        rank=rank,
        debug=bool(debug),
    )


def read_similar_query(query: bytes, limits: Limits) -> SimilarQuery:
    """Read the query string of `GET /items/{id}/similar`.

    Raises:
        InvalidRecord: Names every parameter at fault.

    """
    given, faults = _read(query, limits, SIMILAR)
    k = _whole(given, "k", limits.k, faults)
    if faults:
        raise InvalidRecord(faults)
    return SimilarQuery(k, given.exclude, given.single.get("after"))


@dataclass
class _Given:
    """What a query string holds, decoded."""

    single: dict[str, str] = field(default_factory=dict)
    context: dict[str, str] = field(default_factory=dict)
    exclude: list[str] = field(default_factory=list)


def _read(query: bytes, limits: Limits, known: Sequence[str]) -> tuple[_Given, list[Fault]]:
    """Split a query string into the known parameters; the rest are faults."""
    if len(query) > limits.query_bytes:
        expected = f"{size(limits.query_bytes)}; send long lists by POST /recall"
        raise InvalidRecord.of("query string", f"{len(query)} bytes", expected)
    given = _Given()
    faults: list[Fault] = []
    has_context = RECALL[-1] in known
    for part in query.decode("latin-1").split("&"):
        raw_name, _, raw = part.partition("=")
        name = decode(raw_name, "query string")
        if name == "exclude":
            given.exclude += [decode(one, name) for one in raw.split(",") if one]
        elif name in given.single or name in given.context:
            faults.append(Fault.of(name, decode(raw, name), "one value, it is given twice"))
        elif has_context and name.startswith(CONTEXT):
            given.context[name] = decode(raw, name)
        elif name in known:
            given.single[name] = decode(raw, name)
        elif part:
            faults.append(Fault.of(name, decode(raw, name), f"one of {', '.join(known)}"))
    return given, faults


def read_switch(query: bytes, name: str, *, default: bool) -> bool:
    """Read a query string that may hold one true-or-false parameter and nothing else.

    Raises:
        InvalidRecord: Names what else it holds.

    """
    value = default
    for part in filter(None, query.decode("latin-1").split("&")):
        raw_name, _, raw = part.partition("=")
        got = decode(raw_name, "query string")
        text = decode(raw, got)
        if got != name:
            raise InvalidRecord.of(got, text, f"no parameter but {name}")
        if text not in TRUTH:
            raise InvalidRecord.of(name, text, TRUE_OR_FALSE)
        value = TRUTH[text]
    return value


def _whole(given: _Given, name: str, most: int, faults: list[Fault]) -> int | None:
    """Return a number from 1 to `most`; None if it was not given, or is a fault now."""
    text = given.single.get(name)
    if text is None:
        return None
    number = read_whole(text, most)
    if number is None:
        faults.append(Fault.of(name, text, whole_number(most)))
    return number


def _rank(given: _Given, faults: list[Fault]) -> Rank | None:
    """Return the ranker that is asked for; None if none was, or it is a fault now."""
    text = given.single.get("rank")
    for kind in get_args(Rank):
        if text == kind:
            found: Rank = kind
            return found
    if text is not None:
        faults.append(Fault.of("rank", text, A_RANKER))
    return None


def _truth(given: _Given, name: str, faults: list[Fault]) -> bool | None:
    """Return true or false; None if it was not given, or is a fault now."""
    text = given.single.get(name)
    if text is not None and text not in TRUTH:
        faults.append(Fault.of(name, text, TRUE_OR_FALSE))
    return None if text is None else TRUTH.get(text)
