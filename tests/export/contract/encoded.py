"""Schemas of one feature, and what their encoder graph makes of records."""

from collections.abc import Mapping, Sequence
from typing import Any

from export.contract.encoder import ENCODED, build_encoder
from export.contract.schema import Schema
from export.contract.session import open_session
from export.contract.side import Arrays, Record, Side, SideName

OTHER = Side.model_validate({"content": {"other": {"kind": "number", "standardise": False}}})
WORDS = ("red", "green", "blue", "blue sky", "日本語", "é")


def schema_of(
    features: Mapping[str, Mapping[str, Any]],
    tables: Mapping[str, Sequence[str]] | None = None,
    *,
    side: SideName = "item",
    group: str = "content",
) -> Schema:
    """Return a schema with these features on one side and another one on the other side."""
    sides: dict[str, Any] = {"user": OTHER, "item": OTHER}
    sides[side] = Side.model_validate({group: features})
    return Schema(**sides, dim=4, tables={n: tuple(w) for n, w in (tables or {}).items()})


def encode(
    schema: Schema, records: Sequence[Record], *, side: SideName = "item", present: bool = True
) -> Arrays:
    """Run the encoder; outputs by their names in `Side.encoded`, weights included."""
    packed = schema.side(side).pack(records, [present] * len(records))
    session = open_session(build_encoder(schema, side).SerializeToString())
    names = [one.name for one in session.get_outputs()]
    found = session.run(names, {one.name: packed[one.name] for one in session.get_inputs()})
    arrays = {n.removeprefix(ENCODED): a for n, a in zip(names, found, strict=True)}
    return arrays | {n: packed[n] for n in packed if n.endswith(".weights") or n == "present"}


def parsed(schema: Schema, records: Sequence[Mapping[str, object]]) -> list[dict[str, Any]]:
    """Parse records of the item side."""
    return [schema.item.parse(record) for record in records]
