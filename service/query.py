"""The raw request target: a recall's query string, and ids in paths, decoded once and strictly."""

from urllib.parse import unquote_to_bytes

from export.contract.errors import Fault
from export.contract.tables import id_fault
from service.errors import InvalidRecord
from service.payloads import RecallBody
from service.settings import Limits

CONTEXT = "context."
SINGLE = ("user_id", "k", "cold", "after")
TRUTH = {"true": True, "1": True, "false": False, "0": False}
KNOWN = "one of user_id, k, exclude, cold, after, context.<feature>"


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
    if len(query) > limits.query_bytes:
        expected = f"at most {limits.query_bytes} bytes; send long lists by POST /recall"
        raise InvalidRecord.of("query string", f"{len(query)} bytes", expected)
    single: dict[str, str] = {}
    context: dict[str, object] = {}
    exclude: list[str] = []
    faults: list[Fault] = []
    for part in query.decode("latin-1").split("&"):
        raw_name, _, raw = part.partition("=")
        name = decode(raw_name, "query string")
        if name == "exclude":
            exclude += [decode(one, name) for one in raw.split(",") if one]
        elif name in single or name in context:
            faults.append(Fault.of(name, decode(raw, name), "one value, it is given twice"))
        elif name in SINGLE:
            single[name] = decode(raw, name)
        elif name.startswith(CONTEXT):
            context[name] = decode(raw, name)
        elif part:
            faults.append(Fault.of(name, decode(raw, name), KNOWN))
    if "user_id" not in single:
        faults.append(Fault.of("user_id", None, "a user's id; POST /recall can do without"))
    if faults:
        raise InvalidRecord(faults)
    return RecallBody(
        user_id=single["user_id"],
        context={name.removeprefix(CONTEXT): value for name, value in context.items()},
        k=_whole(single["k"], "k") if "k" in single else None,
        exclude=exclude,
        cold=_truth(single["cold"], "cold") if "cold" in single else False,
        after=single.get("after"),
    )


def read_switch(query: bytes, name: str, *, default: bool) -> bool:
    """Read a query string that may hold one true-or-false parameter and nothing else.

    Raises:
        InvalidRecord: Names what else it holds.

    """
    value = default
    for part in filter(None, query.decode("latin-1").split("&")):
        raw_name, _, raw = part.partition("=")
        got = decode(raw_name, "query string")
        if got != name:
            raise InvalidRecord.of(got, decode(raw, got), f"no parameter but {name}")
        value = _truth(decode(raw, name), name)
    return value


def _whole(text: str, name: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise InvalidRecord.of(name, text, "a whole number")
    return int(text)


def _truth(text: str, name: str) -> bool:
    if text not in TRUTH:
        raise InvalidRecord.of(name, text, "true or false")
    return TRUTH[text]
