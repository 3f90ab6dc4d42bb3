"""Text: a title or a body as it was written, read as the words it holds."""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, Self

import numpy as np
import pyarrow as pa
from pydantic import Field, model_validator

from export.contract.features.bag import Bag
from export.contract.features.base import (
    MISSING_TOKEN,
    PADDING_TOKEN,
    Array,
    Input,
    Mismatch,
    Raw,
    Tables,
    check_word,
)
from export.contract.features.column import Column, Tokens

if TYPE_CHECKING:
    from export.contract.encoder import Graph

EXPECTED = "text or null"

# Scripts written without spaces: Han, Hiragana, Katakana.
UNSPACED = (
    "\u3005-\u3007\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff"
    "\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U0003ffff"
)
RUNS = re.compile(f"([{UNSPACED}]+)")


class _Spaces(dict[int, str]):
    """What stands for each character: itself, itself between spaces (a symbol), or a space."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        category = unicodedata.category(character)
        found = character if category[0] in "LNM" else " "
        if category == "So":
            found = f" {character} "
        if 0xFE00 <= code <= 0xFE0F or 0x1F3FB <= code <= 0x1F3FF:
            found = ""  # variants and skin tones of the symbol before
        self[code] = found
        return found


SPACES = _Spaces()


def words_of(text: str) -> list[str]:
    """Return the words of a text, in order.

    NFKC, then lower case; a word is an unbroken run of letters, digits and marks, or one symbol
    (an emoji). A run of Han, Hiragana or Katakana becomes its pairs of neighbours (bigrams), or
    stands as it is where it is a single character.
    """
    plain = unicodedata.normalize("NFKC", text).lower().translate(SPACES)
    if plain.isascii():
        return plain.split()
    return [word for part in plain.split() for word in _bigrams(part)]


def _bigrams(part: str) -> Iterator[str]:
    for place, run in enumerate(RUNS.split(part)):
        if place % 2 == 0 or len(run) == 1:
            if run:
                yield run
        else:
            yield from (run[at : at + 2] for at in range(len(run) - 1))


class Text(Bag):
    """The rows of a text's first `max_length` words, pooled; an empty text is a known one.

    `vectors` names a file of the data folder with a word and its numbers a line, from which the
    rows of its words begin in training.
    """

    kind: Literal["text"] = "text"
    max_length: int = Field(50, ge=1, le=10_000)
    vectors: str | None = None

    @model_validator(mode="after")
    def _vectors_have_words(self) -> Self:
        if self.vectors is not None and self.vocabulary == "hashed":
            raise ValueError("vectors: a hashed vocabulary has no words to find them by")
        return self

    @property
    def data_files(self) -> tuple[str, ...]:
        """The files of given words and of word vectors."""
        return (*super().data_files, *(() if self.vectors is None else (self.vectors,)))

    def parse(self, value: object) -> Raw:
        """Read a text."""
        if value is None:
            return None
        if not isinstance(value, str):
            raise Mismatch(EXPECTED)
        return check_word(value, EXPECTED) if value else value

    def cell(self, value: object) -> Raw:
        """Read one cell; an empty one is missing."""
        return None if value == "" else self.parse(value)

    def column(self, name: str, cells: pa.ChunkedArray) -> Column | None:
        """Read each distinct text once."""
        return Tokens.of(name, self, cells, name, self._spaced)

    def words(self, value: Raw) -> Iterable[str]:
        """Return every word that counts, repeats included."""
        return words_of(value)[: self.max_length] if isinstance(value, str) else ()

    @property
    def column_type(self) -> pa.DataType:
        """Text."""
        return pa.string()

    def invent(self, words: Sequence[str], rng: np.random.Generator) -> Raw:
        """Draw up to three words more than fit."""
        return " ".join(self.draw(words, rng))

    @classmethod
    def inputs(cls, features: Mapping[str, Self]) -> list[Input]:
        """Each text is an input of its own."""
        return [Input(name, "string", ("batch", 1)) for name in features]

    @classmethod
    def pack(
        cls, features: Mapping[str, Self], records: Sequence[Mapping[str, Raw]]
    ) -> dict[str, Array]:
        """Fill `<feature>` [batch, 1] with words that spaces part."""
        arrays: dict[str, Array] = {}
        for name, feature in features.items():
            texts = [feature._spaced(record.get(name)) for record in records]
            arrays[name] = np.array(texts, dtype=object).reshape(len(texts), 1)
        return arrays

    def _spaced(self, value: Raw) -> str:
        return MISSING_TOKEN if value is None else " ".join(self.tokens(self.words(value)))

    @classmethod
    def graph(cls, features: Mapping[str, Self], tables: Tables, graph: "Graph") -> None:
        """Split at spaces, keep the first words, and look them up."""

        def whole(*numbers: int) -> str:
            return graph.constant(np.array(numbers, dtype=np.int64))

        for name, feature in features.items():
            words = graph.node("StringSplit", [name], unread=1)
            # One padding word more, so that a batch of empty texts has a length too.
            padding = graph.constant(np.array(PADDING_TOKEN, dtype=object))
            pad = graph.node("Expand", [padding, graph.node("Shape", [name])])
            flat = graph.node("Squeeze", [words, whole(1)])
            padded = graph.node("Concat", [flat, pad], axis=1)
            ends = [whole(0), whole(feature.max_length), whole(1)]
            kept = graph.node("Slice", [padded, *ends])
            feature.look_up(name, kept, tables.get(name, ()), graph)
