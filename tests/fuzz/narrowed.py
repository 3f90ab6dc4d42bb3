"""The description, narrowed to one bundle: what its features may be, which no document can know.

The service's own document leaves records open, for the schema of the bundle that is served decides
what stands in them, and `GET /version` tells it. Drawn from an open record nearly every value would
be refused, and nothing behind that would be tried.
"""

from collections.abc import Iterable
from typing import Any

from export.contract.features.base import LIMIT
from export.contract.features.tags import HEAVIEST, LIGHTEST
from export.contract.side import Side
from service.http.shapes import ID

Json = dict[str, Any]

ID_FORMAT = "firstsight-id"
"""Ids are limited in bytes, which JSON Schema cannot count: they are drawn by this name."""

TEXT: Json = {"type": "string", "pattern": "^[^\\u001f]+$"}
LONG: Json = {"type": "integer", "minimum": -(2**63), "maximum": 2**64 - 1}
WORD: Json = {"anyOf": [TEXT, LONG, {"type": "boolean"}]}
KINDS: dict[str, Json] = {
    "category": WORD,
    "number": {"type": "number", "minimum": -LIMIT, "maximum": LIMIT},
    "sequence": {"type": "array", "items": WORD},
    "tags": {"type": "array", "items": WORD},
    "weighted": {
        "type": "object",
        "propertyNames": TEXT,
        "additionalProperties": {"type": "number", "minimum": LIGHTEST, "maximum": HEAVIEST},
    },
}


def narrow(document: Json, user: Side, item: Side, rankers: Iterable[str]) -> None:
    """Narrow a document in place."""
    schemas = document["components"]["schemas"]
    users = features(user, user.stored) | {"preference": {"type": "null"}}
    items = features(item, item.stored) | {"preference": {"type": "null"}}
    contexts = features(user, user.context)
    _close(schemas["ItemRecord"], items)
    _close(schemas["UserRecord"], users, without_id=True)
    _close(schemas["EmbedUser"], users | contexts)
    _close(schemas["EmbedRecord"], items)
    schemas["RecallBody"]["properties"] |= {
        "user": {"anyOf": [_record(users), {"type": "null"}]},
        "context": _record(contexts),
        "rank": {"enum": [*rankers, None]},
    }
    for path, known in (("/items/{id}", items), ("/users/{id}", users)):
        content = document["paths"][path]["patch"]["requestBody"]["content"]["application/json"]
        content["schema"] = _record(known)
    for one in document["paths"]["/recall"]["get"]["parameters"]:
        if one["name"] == "context":
            told = {f"context.{name}": TEXT for name in contexts}
            one["schema"] = {"type": "object", "properties": told, "additionalProperties": False}
        elif one["name"] == "rank":
            one["schema"] = {"type": "string", "enum": [*rankers]}
    _name_ids(document)


def features(side: Side, names: Iterable[str]) -> Json:
    """Return what JSON holds of some features, by name; null is a missing one."""
    known = side.features
    return {name: {"anyOf": [KINDS[_kind(known[name])], {"type": "null"}]} for name in names}


def _kind(feature: Any) -> str:
    return "weighted" if getattr(feature, "weights", False) else str(feature.kind)


def _record(known: Json) -> Json:
    return {"type": "object", "properties": known, "additionalProperties": False}


def _close(schema: Json, known: Json, *, without_id: bool = False) -> None:
    """Give a record its features; without an id where it could but repeat that of the path."""
    schema["properties"] |= known
    schema["additionalProperties"] = False
    if without_id:
        del schema["properties"]["id"]


def _name_ids(value: Any) -> None:
    if isinstance(value, dict):
        if value.get("pattern") == ID["pattern"]:
            value["format"] = ID_FORMAT
        for one in value.values():
            _name_ids(one)
    elif isinstance(value, list):
        for one in value:
            _name_ids(one)
