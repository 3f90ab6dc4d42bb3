"""Tags: several words without order, each with an optional weight."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from export.contract.features.base import (
    FIRST_WORD_ROW,
    MISSING_ROW,
    MISSING_TOKEN,
    PADDING_ROW,
    PADDING_TOKEN,
    UNKNOWN_ROW,
    Array,
    FeatureKind,
    Form,
    Input,
    Mismatch,
    Raw,
    Tables,
    check_word,
)

if TYPE_CHECKING:
    from export.contract.encoder import Graph


class Tags(FeatureKind):
    """A bag of words, pooled by a (weighted) mean of their rows; an empty bag is a known one.

    With `weights`, a value is `{word: weight}`; otherwise a list of words. In a table a text
    cell is split at `separator`, and a weight follows its word after a colon.
    """

    kind: Literal["tags"] = "tags"
    table: str | None = None
    min_count: int = Field(2, ge=1)
    max_length: int = Field(50, ge=1)
    separator: str = Field(",", min_length=1)
    weights: bool = False

    gives = frozenset({"tags"})

    @model_validator(mode="before")
    @classmethod
    def _profile_has_weights(cls, data: object) -> object:
        if isinstance(data, Mapping) and ("aggregate" in data or data.get("statistic")):
            return {**data, "weights": True}
        return data

    @property
    def form(self) -> Form:
        """Several table rows."""
        return "bag"

    def parse(self, value: object) -> Raw:
        """Read a list of words, or a mapping of words to weights where weights are declared."""
        if value is None:
            return None
        if self.weights:
            return _weighted(value)
        if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
            raise Mismatch("a list of words or null")
        return list(dict.fromkeys(check_word(word, "a list of non-empty words") for word in value))

    def cell(self, value: object) -> Raw:
        """Read one cell: a list, pairs of word and weight, or text to be split."""
        if not isinstance(value, str):
            if self.weights and isinstance(value, list):
                value = {pair[0]: pair[1] for pair in value}
            return self.parse(value)
        words = [word.strip() for word in value.split(self.separator) if word.strip()]
        if not self.weights:
            return self.parse(words)
        pairs = [word.rpartition(":") for word in words]
        try:
            return self.parse({word: float(weight) for word, _, weight in pairs})
        except ValueError:
            raise Mismatch(f"words and weights like 'a:2{self.separator}b:1'") from None

    def words(self, value: Raw) -> Iterable[str]:
        """Return every word of the bag."""
        return value if isinstance(value, list | dict) else ()

    @classmethod
    def inputs(cls, features: Mapping[str, Self]) -> list[Input]:
        """Each bag is an input of its own, padded to the longest of the batch."""
        inputs = []
        for name, feature in features.items():
            shape = ("batch", f"{name}.length")
            inputs.append(Input(name, "string", shape))
            if feature.weights:
                inputs.append(Input(f"{name}.weights", "float32", shape))
        return inputs

    @classmethod
    def pack(
        cls, features: Mapping[str, Self], records: Sequence[Mapping[str, Raw]]
    ) -> dict[str, Array]:
        """Fill `<feature>` [batch, length] and its weights; the first `max_length` words stay."""
        arrays: dict[str, Array] = {}
        for name, feature in features.items():
            bags = [_as_words(record.get(name))[: feature.max_length] for record in records]
            arrays[name] = pad(bags)
            if feature.weights:
                weights = np.zeros(arrays[name].shape, dtype=np.float32)
                for row, (record, bag) in enumerate(zip(records, bags, strict=True)):
                    value = record.get(name)
                    known = value.values() if isinstance(value, dict) else [1.0]
                    weights[row, : len(bag)] = list(known)[: len(bag)]
                arrays[f"{name}.weights"] = weights
        return arrays

    @classmethod
    def graph(cls, features: Mapping[str, Self], tables: Tables, graph: "Graph") -> None:
        """Look each bag up in its table; weights need no encoding."""
        for name in features:
            bag_graph(name, tables[name], graph)


def _weighted(value: object) -> dict[str, float]:
    expected = "a mapping of words to finite weights above 0, or null"
    if not isinstance(value, Mapping):
        raise Mismatch(expected)
    for weight in value.values():
        good = isinstance(weight, int | float | np.number) and not isinstance(weight, bool)
        if not good or not math.isfinite(weight) or not 0 < weight < 1e30:
            raise Mismatch(expected)
    return {check_word(word, expected): float(weight) for word, weight in value.items()}


def _as_words(value: Raw) -> list[str]:
    if value is None:
        return [MISSING_TOKEN]
    return list(value) if isinstance(value, list | dict) else [str(value)]


def pad(bags: Sequence[Sequence[str]]) -> Array:
    """Return the bags as one object array [batch, max(1, longest)], padded with ""."""
    length = max(1, max(map(len, bags), default=1))
    padded = np.full((len(bags), length), PADDING_TOKEN, dtype=object)
    for row, bag in zip(padded, bags, strict=True):
        row[: len(bag)] = bag
    return padded


def bag_graph(name: str, words: Sequence[str], graph: "Graph") -> None:
    """Look the words of one input up: padding, missing and unknown words have their rows."""
    keys = [PADDING_TOKEN, MISSING_TOKEN, *words]
    rows = [PADDING_ROW, MISSING_ROW, *range(FIRST_WORD_ROW, FIRST_WORD_ROW + len(words))]
    graph.emit_bag(name, graph.lookup(name, keys, rows, default=UNKNOWN_ROW))
