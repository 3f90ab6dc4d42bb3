"""Tags: several words without order, each with an optional weight."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, Self

import numpy as np
import pyarrow as pa
from pydantic import Field, model_validator

from export.contract.features.bag import Bag, listed_words, pad, parts_of
from export.contract.features.base import (
    MISSING_TOKEN,
    Array,
    Input,
    Mismatch,
    Raw,
    check_word,
)
from export.contract.features.column import Column
from export.contract.features.lists import Lists, WordLists

EXPECTED = "a list of non-empty words or null"
WEIGHTED = "a mapping of words to finite weights above 0, or null"
LIGHTEST, HEAVIEST = 1e-30, 1e30  # not 0 in float32, and fifty of these still add up


class Tags(Bag):
    """A bag of words, pooled by a (weighted) mean of their rows; an empty bag is a known one.

    With `weights`, a value is `{word: weight}`; otherwise a list of words. In a table a text
    cell is split at `separator`, a weight follows its word after a colon, and an empty cell is
    missing. The first `max_length` words are kept; that is the `words` of an aggregate `profile`
    unless given, and a profile always has weights.
    """

    kind: Literal["tags"] = "tags"
    separator: str = Field(",", min_length=1)
    weights: bool = False

    gives = frozenset({"tags"})
    length_of_statistic = "words"

    @model_validator(mode="before")
    @classmethod
    def _weighs_its_statistic(cls, data: object) -> object:
        if isinstance(data, Mapping) and ("aggregate" in data or data.get("statistic")):
            if data.get("weights") is False:
                raise ValueError("weights: got false, but an aggregate gives weighted words")
            return {**data, "weights": True}
        return data

    def parse(self, value: object) -> Raw:
        """Read a list of words, or a mapping of words to weights where weights are declared."""
        if value is None:
            return None
        if self.weights:
            return _weighted(value)
        return list(dict.fromkeys(listed_words(value, EXPECTED)))

    def cell(self, value: object) -> Raw:
        """Read one cell: a list, pairs of word and weight, or text to be split."""
        if isinstance(value, str):
            parts = parts_of(value, self.separator)
            value = None if not parts else self._pairs(parts) if self.weights else parts
        if self.weights and isinstance(value, list):
            value = _each_once(value)
        return self.parse(value)

    def column(self, name: str, cells: pa.ChunkedArray) -> Column | None:
        """Take the first words of each list, each once; or of pairs, the words and weights."""
        lists = Lists.of_pairs(cells) if self.weights else Lists.of(cells)
        if lists is None:
            return None
        once = lists.each_once()
        if lists.weights is not None and (once is not lists or not _may_weigh(lists.weights)):
            return None
        return WordLists.of(name, once.first(self.max_length), self.tokens, EXPECTED)

    def _pairs(self, parts: list[str]) -> list[tuple[str, float]]:
        pairs = [part.rpartition(":") for part in parts]
        try:
            return [(word.strip(), float(weight)) for word, _, weight in pairs]
        except ValueError:
            raise Mismatch(f"words and weights like 'a:2{self.separator}b:1'") from None

    def words(self, value: Raw) -> Iterable[str]:
        """Return every word of the bag."""
        return value if isinstance(value, list | dict) else ()

    @property
    def column_type(self) -> pa.DataType:
        """A list of text, or a map of text to weights."""
        return pa.map_(pa.string(), pa.float64()) if self.weights else pa.list_(pa.string())

    def stored(self, value: Raw) -> object:
        """Return weighted words as pairs."""
        return list(value.items()) if isinstance(value, dict) else value

    def invent(self, words: Sequence[str], rng: np.random.Generator) -> Raw:
        """Draw up to three words more than fit."""
        drawn = dict.fromkeys(self.draw(words, rng))
        if not self.weights:
            return list(drawn)
        return {word: float(rng.integers(1, 9)) for word in drawn}

    @classmethod
    def inputs(cls, features: Mapping[str, Self]) -> list[Input]:
        """Each bag is an input of its own, and so are its weights, of the same shape."""
        inputs = []
        for one in super().inputs(features):
            inputs.append(one)
            if features[one.name].weights:
                inputs.append(Input(f"{one.name}.weights", "float32", one.shape))
        return inputs

    @classmethod
    def pack(
        cls, features: Mapping[str, Self], records: Sequence[Mapping[str, Raw]]
    ) -> dict[str, Array]:
        """Fill `<feature>` [batch, length] and its weights; the first `max_length` words stay."""
        arrays: dict[str, Array] = {}
        for name, feature in features.items():
            bags = [feature._first(record.get(name)) for record in records]
            arrays[name] = pad(bags)
            if feature.weights:
                weights = np.zeros(arrays[name].shape, dtype=np.float32)
                for row, (record, bag) in enumerate(zip(records, bags, strict=True)):
                    value = record.get(name)
                    known = value.values() if isinstance(value, dict) else [1.0]
                    weights[row, : len(bag)] = list(known)[: len(bag)]
                arrays[f"{name}.weights"] = weights
        return arrays

    def _first(self, value: Raw) -> list[str]:
        if not isinstance(value, list | dict):
            return [MISSING_TOKEN]
        return self.tokens(list(value)[: self.max_length])


def _each_once(pairs: list[object]) -> dict[object, object]:
    """Return pairs of word and weight as a mapping."""
    found: dict[object, object] = {}
    for pair in pairs:
        if not isinstance(pair, tuple | list) or len(pair) != 2 or isinstance(pair[0], list | dict):
            raise Mismatch(WEIGHTED)
        if pair[0] in found:
            raise Mismatch(f"{WEIGHTED}, each word once")
        found[pair[0]] = pair[1]
    return found


def _may_weigh(weights: Array) -> bool:
    """Say whether all are such weights as `_weighted` takes."""
    return bool(((weights >= LIGHTEST) & (weights <= HEAVIEST)).all())


def _weighted(value: object) -> dict[str, float]:
    if not isinstance(value, Mapping):
        raise Mismatch(WEIGHTED)
    for weight in value.values():
        good = isinstance(weight, (float, int, np.number)) and not isinstance(weight, bool)
        if not good or not LIGHTEST <= weight <= HEAVIEST:
            raise Mismatch(WEIGHTED)
    return {check_word(word, WEIGHTED): float(weight) for word, weight in value.items()}
