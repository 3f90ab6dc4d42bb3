"""Vocabularies: which row of a table a word has; learned, given, or by a hash that needs no list.

A hashed word does not go into a tower file: the number of its bucket does, written in decimals.
"""

from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from export.contract.errors import SchemaError
from export.contract.features.base import (
    FIRST_WORD_ROW,
    MISSING_TOKEN,
    PADDING_TOKEN,
    FeatureKind,
    TableName,
)

if TYPE_CHECKING:
    from export.contract.encoder import Graph

MIN_COUNT = 2
MOST_BUCKETS = 100_000_000


def bucket(word: str, buckets: int) -> int:
    """Return a word's bucket: BLAKE2b (RFC 7693) of its UTF-8 bytes, modulo `buckets`.

    Without key, with a digest of 8 bytes, read as an unsigned number, lowest byte first.
    """
    digest = blake2b(word.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") % buckets


class Worded(FeatureKind):
    """A kind whose values are words, each looked up in a table.

    `vocabulary`: `learned` keeps the words seen at least `min_count` times (2 unless given) in
    training, `given` those of `words_from`, a list or a file of the data folder with a word a
    line, and `hashed` gives each word one of `buckets` rows, so that none is unknown; `hash`
    names the function, for those who read `schema.json`. Features that name the same `table`
    share it.
    """

    table: TableName | None = None
    vocabulary: Literal["learned", "given", "hashed"] = "learned"
    min_count: int | None = Field(None, ge=1)
    words_from: str | tuple[Annotated[str, Field(min_length=1)], ...] | None = None
    buckets: int | None = Field(None, ge=1, le=MOST_BUCKETS)
    hash: Literal["blake2b-64"] | None = None

    @model_validator(mode="before")
    @classmethod
    def _name_the_hash(cls, data: Any) -> Any:
        is_hashed = isinstance(data, Mapping) and data.get("vocabulary") == "hashed"
        return {"hash": "blake2b-64", **data} if is_hashed else data

    @model_validator(mode="after")
    def _vocabulary_fits(self) -> Self:
        owner = {
            "min_count": "learned",
            "words_from": "given",
            "buckets": "hashed",
            "hash": "hashed",
        }
        for option, vocabulary in owner.items():
            if getattr(self, option) is not None and self.vocabulary != vocabulary:
                raise ValueError(
                    f"{option} belongs to vocabulary: {vocabulary}; got {self.vocabulary}"
                )
        if self.vocabulary == "given" and self.words_from is None:
            raise ValueError("vocabulary: given needs words_from, a list of words or a file")
        if self.vocabulary == "hashed" and self.buckets is None:
            raise ValueError("vocabulary: hashed needs buckets, the number of rows")
        return self

    @property
    def data_files(self) -> tuple[str, ...]:
        """The file of given words."""
        return (self.words_from,) if isinstance(self.words_from, str) else ()

    def own_rows(self) -> int | None:
        """Return the reserved rows and the buckets; None where a list of words decides."""
        return None if self.buckets is None else FIRST_WORD_ROW + self.buckets

    @property
    def rows_by(self) -> tuple[object, ...]:
        """What decides which row a word has; features of one table have to agree on it."""
        if self.vocabulary == "learned":
            return ("learned",)
        return (self.vocabulary, self.words_from, self.buckets)

    def tokens(self, words: Iterable[str]) -> list[str]:
        """Return what a tower file takes for these words: themselves, or their buckets."""
        buckets = self.buckets
        return list(words) if buckets is None else [str(bucket(word, buckets)) for word in words]

    def given_words(self, folder: Path) -> tuple[str, ...]:
        """Return the words of a given vocabulary, in order.

        Raises:
            SchemaError: The file cannot be read, or a word stands twice or is reserved.

        """
        where, words = "words_from", self.words_from
        if isinstance(words, str):
            where = str(folder / words)
            try:
                lines = (folder / words).read_text(encoding="utf-8-sig").removesuffix("\n")
                words = tuple(line.removesuffix("\r") for line in lines.split("\n"))
            except (OSError, UnicodeDecodeError) as error:
                raise SchemaError(
                    f"{where}: {getattr(error, 'strerror', None) or error}"
                ) from error
        seen: dict[str, int] = {}
        for number, word in enumerate(words or (), start=1):
            if word == PADDING_TOKEN or MISSING_TOKEN in word:
                raise SchemaError(f"{where}, word {number}: got {word!r}, expected a word")
            if word in seen:
                raise SchemaError(f"{where}: {word!r} is word {seen[word]} and word {number}")
            seen[word] = number
        return tuple(seen)


def word_rows(words: Sequence[str]) -> range:
    """Return the rows of a vocabulary's words."""
    return range(FIRST_WORD_ROW, FIRST_WORD_ROW + len(words))


def bucket_rows(tensor: str, row: str, is_bucket: str, buckets: Any, graph: "Graph") -> str:
    """Return `row`, but the bucket's row where `is_bucket` says that the text is a bucket.

    A number that is none of the buckets is moved to the nearest one: no row outside of the table
    is ever read.
    """
    zero = graph.constant(np.array("0", dtype=object))
    number = graph.node("Cast", [graph.node("Where", [is_bucket, tensor, zero])], to=graph.INT64)
    number = graph.node("Max", [number, graph.constant(np.array(0, dtype=np.int64))])
    last = np.maximum(np.asarray(buckets, dtype=np.int64) - 1, 0)
    number = graph.node("Min", [number, graph.constant(last)])
    first = graph.constant(np.array(FIRST_WORD_ROW, dtype=np.int64))
    return graph.node("Where", [is_bucket, graph.node("Add", [number, first]), row])
