"""What each feature kind promises, and the reserved rows and tokens every kind shares."""

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field, model_validator

from export.contract.statistics import Floats, Statistic
from export.contract.strict import Strict

if TYPE_CHECKING:
    from export.contract.encoder import Graph
    from export.contract.features.column import Column

MISSING_TOKEN = "\x1f"  # in a string input: the value is not known; refused in client values
PADDING_TOKEN = ""  # in a string input: no value here

PADDING_ROW, MISSING_ROW, UNKNOWN_ROW, FIRST_WORD_ROW = 0, 1, 2, 3
"""Rows every embedding table reserves; the word at vocabulary position i has row i + 3."""

LIMIT = float(np.finfo(np.float32).max)
FARTHEST = 1e12
"""Encoded floats are held within this, or one absurd number would overflow a tower to NaN."""

Raw = str | float | list[str] | Floats | dict[str, float] | None
"""A value after `parse`: a word, a number, words, float32s, weighted words, or missing."""

Form = Literal["id", "value", "bag", "vector"]
"""How a feature leaves the encoder: one table row, one float, several rows, several floats."""

TableName = Annotated[str, Field(pattern=r"^\w[\w-]*$", max_length=64)]
"""A vocabulary that features share; without a dot, so it never meets a feature's own table."""

Array = NDArray[Any]
Tables = Mapping[str, Sequence[str]]


class Mismatch(ValueError):
    """A value that a kind cannot read; the text says what would be right."""


@dataclass(frozen=True)
class Input:
    """One input of a tower file; `shape` holds a name for each dimension that varies."""

    name: str
    dtype: Literal["string", "float32", "bool", "int64"]
    shape: tuple[str | int, ...]


class FeatureKind(Strict):
    """A column's meaning. What is learned is an option left blank, which `fit` fills in.

    A declared preference statistic may be written flat beside the kind's own options
    (`{kind: number, aggregate: count, window: 7d}`) or nested under `statistic`. `dim` is the
    width of the feature's vector in a tower; by default the tower's own embedding width.
    """

    statistic: Statistic | None = None
    dim: int | None = Field(None, ge=1, le=65_536)

    gives: ClassVar[frozenset[str]] = frozenset()
    """The results of statistics that this kind can hold: `number`, `sequence`, `tags`."""

    @model_validator(mode="before")
    @classmethod
    def _nest_statistic(cls, data: Any) -> Any:
        if not isinstance(data, Mapping) or "aggregate" not in data:
            return data
        if data.get("statistic") is not None:
            raise ValueError("aggregate and statistic say the same; give one of them")
        own = {key: value for key, value in data.items() if key in cls.model_fields}
        nested = {key: value for key, value in data.items() if key not in cls.model_fields}
        return {**own, "statistic": nested}

    @model_validator(mode="after")
    def _statistic_fits(self) -> Self:
        if self.statistic is not None and self.statistic.gives not in self.gives:
            raise ValueError(
                f"aggregate {self.statistic.aggregate!r} gives a {self.statistic.gives}, "
                f"which this kind cannot hold"
            )
        return self

    @property
    @abstractmethod
    def form(self) -> Form:
        """How the feature leaves the encoder."""

    @abstractmethod
    def parse(self, value: object) -> Raw:
        """Read one value of a record; None stays None.

        Raises:
            Mismatch: the value is not of this kind; the text says what would be right.

        """

    def cell(self, value: object) -> Raw:
        """Read one cell of a table, where text may hold what JSON would hold apart."""
        return self.parse(value)

    def text(self, value: str) -> Raw:
        """Read one value that came as text because its carrier has nothing else (a URL)."""
        return self.parse(value)

    def column(self, name: str, cells: pa.ChunkedArray) -> "Column | None":
        """Read a table's column at once, if that goes and nothing in it is at fault.

        None leaves it to `cell`, which reads every column, if more slowly, and says what is wrong.
        """
        del name, cells
        return None

    def fit(self, values: Iterable[Raw]) -> Self:
        """Return the same feature with what is learned filled in; words are learned apart."""
        del values
        return self

    @property
    def meaning(self) -> dict[str, object]:
        """The options that decide what an encoded value says; words and rows are apart.

        A feature of the same kind and name with the same of these may go on with what an earlier
        training learned.
        """
        return {"aggregate": None if self.statistic is None else self.statistic.aggregate}

    def going_on(self, known: Self) -> Self:
        """Return the same feature with what `known`, of the same meaning, learned of its scale."""
        del known
        return self

    def words(self, value: Raw) -> Iterable[str]:
        """Return the vocabulary words of one value; none for kinds without a vocabulary."""
        del value
        return ()

    @property
    def is_fitted(self) -> bool:
        """Whether nothing is left blank that `fit` has to fill in."""
        return True

    @property
    @abstractmethod
    def column_type(self) -> pa.DataType:
        """The type of a table's column that holds parsed values."""

    def stored(self, value: Raw) -> object:
        """Return a parsed value as such a column takes it; `cell` reads it back."""
        return value

    @abstractmethod
    def invent(self, words: Sequence[str], rng: np.random.Generator) -> Raw:
        """Make a value up that is like real ones, from the words of the feature's table."""

    def own_rows(self) -> int | None:
        """Return the rows of the feature's own table, or None where a vocabulary decides."""
        return None

    @property
    def made_of(self) -> tuple[str, ...]:
        """The features of its side that a feature is made of; none where it is given itself.

        What is made of others is never in a record, a column or a request.
        """
        return ()

    def check_sources(self, sources: Sequence["FeatureKind"]) -> None:
        """Check that the feature can be made of these, in the order of `made_of`.

        Raises:
            ValueError: It cannot; says of which.

        """

    def is_word(self, word: str) -> bool:
        """Whether this may stand in the feature's table."""
        return word != PADDING_TOKEN and MISSING_TOKEN not in word

    @property
    def rows_by(self) -> tuple[object, ...]:
        """What decides which row a word has; features of one table have to agree on it."""
        return ()

    @classmethod
    @abstractmethod
    def inputs(cls, features: Mapping[str, Self]) -> list[Input]:
        """Return the tower inputs of all features of this kind on one side."""

    @classmethod
    @abstractmethod
    def pack(
        cls, features: Mapping[str, Self], records: Sequence[Mapping[str, Raw]]
    ) -> dict[str, Array]:
        """Turn parsed records into the arrays of `inputs`, a missing key meaning missing."""

    @classmethod
    @abstractmethod
    def graph(
        cls, features: Mapping[str, Self], tables: Mapping[str, Sequence[str]], graph: "Graph"
    ) -> None:
        """Add the nodes of all features of this kind; emit each by `graph.emit_*`.

        `tables` maps the feature's name to the words of its table, in row order.
        """


class Made(FeatureKind):
    """A kind that is never given: it is made of other features of its side."""

    @abstractmethod
    def make(self, sources: Sequence[FeatureKind], values: Sequence[Raw]) -> Raw:
        """Return what `words` takes, from parsed values of the features it is made of."""

    @abstractmethod
    def rows_of_unknown(self, sources: Sequence[Array]) -> Array:
        """Return the rows that the graph gives where a word among the sources is unknown.

        `sources` are the rows of the features it is made of, each [n], the unknown ones already
        `UNKNOWN_ROW`; at least one of each place is, as no training has seen it.
        """


def check_word(value: object, expected: str) -> str:
    """Return a word as text; whole numbers and booleans are written out.

    Raises:
        Mismatch: not a word, empty, or holding the reserved character U+001F.

    """
    if not isinstance(value, str):
        if isinstance(value, (bool, np.bool_)):
            return "true" if value else "false"
        if isinstance(value, (int, np.integer)):
            return str(int(value))
        raise Mismatch(expected)
    if value == PADDING_TOKEN:
        raise Mismatch(expected)
    if MISSING_TOKEN in value:
        raise Mismatch(f"{expected}, without the reserved character U+001F")
    if not value.isascii() and not _is_unicode(value):
        raise Mismatch(f"{expected}, of whole characters (half a surrogate pair is none)")
    return value


def some_words(words: Sequence[str], count: int, rng: np.random.Generator) -> list[str]:
    """Draw words, and now and then one that no vocabulary holds."""
    known = [words[position] for position in rng.integers(len(words), size=count)] if words else []
    return [word if rng.random() < 0.9 else f"{word}~" for word in known] or ["~"]


def _is_unicode(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
