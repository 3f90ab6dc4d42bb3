"""Sequence: several words in order, oldest first, of which the newest are kept."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field

from export.contract.features.base import (
    MISSING_TOKEN,
    Array,
    FeatureKind,
    Form,
    Input,
    Mismatch,
    Raw,
    Tables,
    check_word,
)
from export.contract.features.tags import bag_graph, pad

if TYPE_CHECKING:
    from export.contract.encoder import Graph


class SequenceFeature(FeatureKind):
    """Words in order of time, oldest first; the newest `max_length` are kept."""

    kind: Literal["sequence"] = "sequence"
    table: str | None = None
    min_count: int = Field(2, ge=1)
    max_length: int = Field(50, ge=1)
    separator: str = Field(",", min_length=1)

    gives = frozenset({"sequence"})

    @property
    def form(self) -> Form:
        """Several table rows."""
        return "bag"

    def parse(self, value: object) -> Raw:
        """Read a list of words."""
        if value is None:
            return None
        if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
            raise Mismatch("a list of words, oldest first, or null")
        return [check_word(word, "a list of non-empty words, oldest first") for word in value]

    def cell(self, value: object) -> Raw:
        """Read one cell: a list, or text to be split."""
        if isinstance(value, str):
            value = [word.strip() for word in value.split(self.separator) if word.strip()]
        return self.parse(value)

    def words(self, value: Raw) -> Iterable[str]:
        """Return every word, repeats included."""
        return value if isinstance(value, list) else ()

    @classmethod
    def inputs(cls, features: Mapping[str, Self]) -> list[Input]:
        """Each sequence is an input of its own, padded to the longest of the batch."""
        return [Input(name, "string", ("batch", f"{name}.length")) for name in features]

    @classmethod
    def pack(
        cls, features: Mapping[str, Self], records: Sequence[Mapping[str, Raw]]
    ) -> dict[str, Array]:
        """Fill `<feature>` [batch, length]."""
        return {
            name: pad([_newest(record.get(name), feature.max_length) for record in records])
            for name, feature in features.items()
        }

    @classmethod
    def graph(cls, features: Mapping[str, Self], tables: Tables, graph: "Graph") -> None:
        """Look each sequence up in its table."""
        for name in features:
            bag_graph(name, tables[name], graph)


def _newest(value: Raw, length: int) -> list[str]:
    return value[-length:] if isinstance(value, list) else [MISSING_TOKEN]
