"""Vector: given numbers of one length, such as an embedding of an image or a text."""

import re
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import Field, model_validator

from export.contract.errors import Fault, RecordError
from export.contract.features.base import (
    FARTHEST,
    LIMIT,
    Array,
    FeatureKind,
    Form,
    Input,
    Mismatch,
    Raw,
    Tables,
)
from export.contract.features.column import Column, is_list

if TYPE_CHECKING:
    from export.contract.encoder import Graph

WIDEST = 65_536


@dataclass(frozen=True, eq=False)
class Rows(Column):
    """Vectors of many rows, NaN for what is missing: float32[rows, size]."""

    name: str
    values: NDArray[np.float32]

    @property
    def known(self) -> NDArray[np.bool_]:
        """Whether it is not NaN."""
        return ~np.isnan(self.values[:, 0])

    def pack(self, rows: slice) -> dict[str, Array]:
        """Fill `<feature>` [batch, size]."""
        return {self.name: self.values[rows]}


class Vector(FeatureKind):
    """A dense vector; a tower maps it to the feature's width, or has a learned vector if missing.

    `size` is the length of the training data's vectors unless given. `normalise` brings it to
    length 1 first; a vector of zeros has no direction then, and is missing. Numbers are float32.
    `file` is a table in the data folder with ids and vectors, from which training takes it in
    place of a column.
    """

    kind: Literal["vector"] = "vector"
    size: int | None = Field(None, ge=1, le=WIDEST)
    normalise: bool = False
    file: str | None = Field(None, min_length=1)

    gives = frozenset({"vector"})

    @model_validator(mode="after")
    def _comes_from_one_place(self) -> Self:
        if self.file is not None and self.statistic is not None:
            raise ValueError("got a file and an aggregate, expected one of them")
        return self

    @property
    def data_files(self) -> tuple[str, ...]:
        """The file, if there is one."""
        return () if self.file is None else (self.file,)

    @property
    def form(self) -> Form:
        """Several floats."""
        return "vector"

    def parse(self, value: object) -> Raw:
        """Read a list of finite numbers, 4 bytes each: they are rounded to float32."""
        if value is None:
            return None
        if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
            raise Mismatch(self._expected())
        numbers = list(value)
        if not {type(number) for number in numbers} <= {int, float}:
            raise Mismatch(self._expected())
        if len(numbers) != (self.size or len(numbers)) or not 1 <= len(numbers) <= WIDEST:
            raise Mismatch(f"{self._expected()}; this has {len(numbers)}")
        if not all(abs(number) <= LIMIT for number in numbers):
            raise Mismatch(self._expected())
        return array("f", numbers)

    def _expected(self) -> str:
        return f"a list of {self.size or f'1 to {WIDEST}'} finite numbers, or null"

    def cell(self, value: object) -> Raw:
        """Read one cell: a list, or numbers parted by commas or spaces; NaN only is missing."""
        if isinstance(value, str):
            return self.text(value) if value.strip() else None
        if isinstance(value, list) and value and all(number != number for number in value):
            return None
        return self.parse(value)

    def column(self, name: str, cells: pa.ChunkedArray) -> Column | None:
        """Take lists of the feature's length as they are."""
        array = cells.combine_chunks()
        if self.size is None or not is_list(array.type):
            return None
        inner, lengths = array.type.value_type, pc.list_value_length(array.drop_null())
        is_number = pa.types.is_integer(inner) or inner in (pa.float32(), pa.float64())
        if not is_number or not pc.all(pc.equal(lengths, self.size), min_count=0).as_py():
            return None
        flat = array.flatten()
        numbers = flat.to_numpy(zero_copy_only=False).reshape(-1, self.size)
        is_told = ~np.isnan(numbers).all(axis=1)
        if flat.null_count or not (np.abs(numbers[is_told]) <= LIMIT).all():
            return None
        values = np.full((len(array), self.size), np.nan, dtype=np.float32)
        values[array.is_valid().to_numpy(zero_copy_only=False)] = numbers.astype(np.float64)
        return Rows(name, values)

    def text(self, value: str) -> Raw:
        """Read numbers parted by commas or spaces."""
        try:
            numbers = [float(part) for part in re.split(r"\s*,\s*|\s+", value.strip())]
        except ValueError:
            raise Mismatch(self._expected()) from None
        return self.parse(numbers)

    def fit(self, values: Iterable[Raw]) -> Self:
        """Learn the length.

        Raises:
            Mismatch: There is no value, or values have several lengths.

        """
        sizes = sorted({len(value) for value in values if isinstance(value, array)})
        if len(sizes) > 1:
            raise Mismatch(f"vectors of one length; got some of {sizes[0]} and of {sizes[-1]}")
        if not sizes and self.size is None:
            raise Mismatch("vectors in the train rows, or `size`; got neither")
        return self.model_copy(update={"size": self.size or sizes[0]})

    @property
    def meaning(self) -> dict[str, object]:
        """Whether its length counts."""
        return {**super().meaning, "normalise": self.normalise}

    @property
    def is_fitted(self) -> bool:
        """Whether the length is known."""
        return self.size is not None

    @property
    def column_type(self) -> pa.DataType:
        """A list of 32-bit floats."""
        return pa.list_(pa.float32())

    def invent(self, words: Sequence[str], rng: np.random.Generator) -> Raw:
        """Draw each number from a normal distribution."""
        del words
        return self.parse(rng.standard_normal(self.size or 1).tolist())

    @classmethod
    def inputs(cls, features: Mapping[str, Self]) -> list[Input]:
        """Each vector is an input of its own, a row of NaN meaning missing."""
        return [Input(name, "float32", ("batch", f.size or 1)) for name, f in features.items()]

    @classmethod
    def pack(
        cls, features: Mapping[str, Self], records: Sequence[Mapping[str, Raw]]
    ) -> dict[str, Array]:
        """Fill `<feature>` [batch, size].

        Raises:
            RecordError: A vector has another length, which only fitting to others could show.

        """
        arrays: dict[str, Array] = {}
        for name, feature in features.items():
            rows = np.full((len(records), feature.size or 1), np.nan, dtype=np.float32)
            for row, record in zip(rows, records, strict=True):
                value = record.get(name)
                if isinstance(value, array):
                    if len(value) != len(row):
                        expected = f"{feature._expected()}; this has {len(value)}"
                        raise RecordError([Fault.of(name, value.tolist(), expected)])
                    row[:] = value
            arrays[name] = rows
        return arrays

    @classmethod
    def graph(cls, features: Mapping[str, Self], tables: Tables, graph: "Graph") -> None:
        """Bring each to length 1 where asked; otherwise hold it within what a tower can bear."""
        for name, feature in features.items():
            encoded = _direction(name, graph) if feature.normalise else _bounded(name, graph)
            graph.emit_vector(name, encoded, feature.size or 1)


def _direction(name: str, graph: "Graph") -> str:
    """Divide by the length; 0 / 0 is NaN, and so a vector of zeros is missing.

    Dividing by the largest number first keeps its square finite.
    """
    axis = graph.constant(np.array([1]))
    largest = graph.node("ReduceMax", [graph.node("Abs", [name]), axis], keepdims=1)
    scaled = graph.node("Div", [name, largest])
    return graph.node("Div", [scaled, graph.node("ReduceL2", [scaled, axis], keepdims=1)])


def _bounded(name: str, graph: "Graph") -> str:
    low, high = (graph.constant(np.array(end, dtype=np.float32)) for end in (-FARTHEST, FARTHEST))
    value = graph.node("Min", [graph.node("Max", [name, low]), high])
    return graph.node("Where", [graph.node("IsNaN", [name]), name, value])
