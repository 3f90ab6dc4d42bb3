"""Bags: kinds whose value is several words, each of which has a row of one table."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, get_args

import numpy as np
from pydantic import Field, field_validator, model_validator

from export.contract.features.base import (
    MISSING_ROW,
    MISSING_TOKEN,
    PADDING_ROW,
    PADDING_TOKEN,
    UNKNOWN_ROW,
    Array,
    Form,
    Input,
    Mismatch,
    Tables,
    check_word,
    some_words,
)
from export.contract.features.vocabulary import Worded, bucket_rows, word_rows

if TYPE_CHECKING:
    from export.contract.encoder import Graph

Pooling = Literal["mean", "sqrtn", "attention"]


class Bag(Worded):
    """A kind of several words, of which at most `max_length` count.

    A feature that holds a statistic keeps as many as that gives, unless `max_length` is given.
    `pooling` is how a tower makes one vector of them: by their (weighted) mean, by their sum over
    the root of the sum of squared weights, or by attention with a learned query. A tower sees one
    side only, and so no candidate to attend by.
    """

    max_length: int = Field(50, ge=1)
    pooling: Pooling = "mean"

    length_of_statistic: ClassVar[str | None] = None
    """The option of a statistic that says how many words it gives; None: it holds none."""

    @model_validator(mode="before")
    @classmethod
    def _holds_its_statistic(cls, data: Any) -> Any:
        option = cls.length_of_statistic
        if option is None or not isinstance(data, Mapping) or "max_length" in data:
            return data
        statistic = data if "aggregate" in data else data.get("statistic")
        wanted = statistic.get(option) if isinstance(statistic, Mapping) else None
        return {**data, "max_length": wanted} if isinstance(wanted, int) and wanted > 0 else data

    @field_validator("pooling", mode="before")
    @classmethod
    def _pools_without_a_candidate(cls, value: object) -> object:
        if value not in get_args(Pooling):
            raise ValueError(
                "expected mean, sqrtn, or attention, whose query is learned; "
                "a tower sees no candidate"
            )
        return value

    @property
    def form(self) -> Form:
        """Several table rows."""
        return "bag"

    def draw(self, words: Sequence[str], rng: np.random.Generator) -> list[str]:
        """Draw words, up to three more than count."""
        return some_words(words, int(rng.integers(1, self.max_length + 4)), rng)

    @classmethod
    def inputs(cls, features: Mapping[str, Self]) -> list[Input]:
        """Each feature is an input of its own, padded to the longest of the batch."""
        return [Input(name, "string", ("batch", f"{name}.length")) for name in features]

    @classmethod
    def graph(cls, features: Mapping[str, Self], tables: Tables, graph: "Graph") -> None:
        """Look each feature's words up in its table."""
        for name, feature in features.items():
            feature.look_up(name, name, tables.get(name, ()), graph)

    def look_up(self, name: str, tensor: str, words: Sequence[str], graph: "Graph") -> None:
        """Look the words of one tensor up: padding, missing and unknown words have their rows."""
        keys = [PADDING_TOKEN, MISSING_TOKEN, *words]
        rows = [PADDING_ROW, MISSING_ROW, *word_rows(words)]
        row = graph.lookup(tensor, keys, rows, default=UNKNOWN_ROW)
        if self.buckets is not None:
            is_bucket = graph.node("Equal", [row, graph.constant(np.array(UNKNOWN_ROW))])
            row = bucket_rows(tensor, row, is_bucket, np.array(self.buckets), graph)
        graph.emit_bag(name, row)


def listed_words(value: object, expected: str) -> list[str]:
    """Read a list of words; raises Mismatch for anything else."""
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        raise Mismatch(expected)
    return [check_word(word, expected) for word in value]


def parts_of(cell: str, separator: str) -> list[str]:
    """Return what stands between separators, without the spaces around it; nothing for nothing."""
    return [part.strip() for part in cell.split(separator) if part.strip()]


def pad(bags: Sequence[Sequence[str]]) -> Array:
    """Return the bags as one object array [batch, max(1, longest)], padded with ""."""
    length = max(1, max(map(len, bags), default=1))
    padded = np.full((len(bags), length), PADDING_TOKEN, dtype=object)
    for row, bag in zip(padded, bags, strict=True):
        row[: len(bag)] = bag
    return padded
