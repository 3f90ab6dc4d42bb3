"""Number: a scaled value, or one of several buckets."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field, model_validator

from export.contract.features.base import (
    FARTHEST,
    FIRST_WORD_ROW,
    LIMIT,
    MISSING_ROW,
    Array,
    FeatureKind,
    Form,
    Input,
    Mismatch,
    Raw,
    Tables,
)
from export.contract.features.column import Column

if TYPE_CHECKING:
    from export.contract.encoder import Graph

EXPECTED = "a finite number or null"


@dataclass(frozen=True, eq=False)
class Numbers(Column):
    """Numbers of many rows, NaN for what is missing: float64[rows]."""

    values: NDArray[np.float64]

    @property
    def known(self) -> NDArray[np.bool_]:
        """Whether it is not NaN."""
        return ~np.isnan(self.values)

    @property
    def numbers(self) -> NDArray[np.float64]:
        """The values."""
        return self.values

    def pack(self, rows: slice) -> dict[str, Array]:
        """Fill `numbers` [batch, 1]."""
        return {"numbers": self.values[rows, None].astype(np.float32)}


Bounded = Annotated[float, Field(ge=-LIMIT, le=LIMIT, allow_inf_nan=False)]


class Number(FeatureKind):
    """A number: clipped, then log1p, then standardised; or cut into buckets.

    `log1p` keeps the sign: sign(x) log(1 + |x|). `mean` and `scale` are those of the training
    data unless given. `buckets` is a number of equally filled buckets, learned, or the list of
    inner edges; a value on an edge belongs to the upper bucket. Numbers are float32.
    """

    kind: Literal["number"] = "number"
    clip: tuple[Bounded, Bounded] | None = None
    log1p: bool = False
    standardise: bool = True
    mean: Bounded | None = None
    scale: float | None = Field(None, gt=1e-30, le=LIMIT)
    buckets: int | tuple[Bounded, ...] | None = None

    gives = frozenset({"number"})

    @model_validator(mode="after")
    def _options_fit(self) -> Self:
        given = [one is not None for one in (self.clip, self.mean, self.scale)]
        if self.buckets is not None and (any(given) or self.log1p or not self.standardise):
            raise ValueError("buckets stand alone: the other options change nothing beside them")
        if isinstance(self.buckets, int) and not 2 <= self.buckets <= 1000:
            raise ValueError(f"buckets: got {self.buckets}, expected 2 to 1000, or a list of edges")
        if isinstance(self.buckets, tuple) and list(self.buckets) != sorted(set(self.buckets)):
            raise ValueError("buckets: expected edges that rise")
        if self.clip is not None and not self.clip[0] < self.clip[1]:
            raise ValueError(f"clip: got {list(self.clip)}, expected [low, high] with low < high")
        if not self.standardise and (self.mean is not None or self.scale is not None):
            raise ValueError("mean and scale change nothing with standardise: false")
        return self

    @property
    def form(self) -> Form:
        """One float, or one table row where there are buckets."""
        return "value" if self.buckets is None else "id"

    def parse(self, value: object) -> Raw:
        """Read a finite number."""
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise Mismatch(EXPECTED)
        if not abs(value) <= LIMIT:
            raise Mismatch(EXPECTED)
        return float(value)

    def cell(self, value: object) -> Raw:
        """Read one cell: NaN and empty text are missing, other text is a number written out."""
        if isinstance(value, str):
            return self.text(value) if value.strip() else None
        return None if isinstance(value, float) and math.isnan(value) else self.parse(value)

    def column(self, name: str, cells: pa.ChunkedArray) -> Column | None:
        """Take whole numbers and floats as they are, NaN for null."""
        kind = cells.type
        if not (pa.types.is_integer(kind) or kind in (pa.float32(), pa.float64())):
            return None
        del name
        values = cells.to_numpy().astype(np.float64, copy=False)
        return None if (np.abs(values) > LIMIT).any() else Numbers(values)

    def text(self, value: str) -> Raw:
        """Read a number written as text."""
        try:
            return self.parse(float(value))
        except ValueError:
            raise Mismatch(EXPECTED) from None

    def fit(self, values: Iterable[Raw]) -> Self:
        """Learn mean and scale, or the bucket edges, from the values that are not missing.

        An array of numbers, NaN where missing, is taken as it is.
        """
        if not isinstance(values, np.ndarray):
            values = [v for v in values if v is not None]
        known = np.asarray(values, dtype=np.float64)
        known = known[np.isfinite(known)]
        if isinstance(self.buckets, int):
            return self.model_copy(update={"buckets": _quantile_edges(known, self.buckets)})
        if self.buckets is not None or not self.standardise:
            return self
        bent = self._bend(known)
        mean = float(bent.mean()) if bent.size else 0.0
        deviation = float(bent.std()) if bent.size else 0.0
        if deviation <= 1e-6 * np.abs(bent).max(initial=0):
            deviation = 1.0  # all equal but for rounding; dividing by that would blow others up
        update = {
            "mean": mean if self.mean is None else self.mean,
            "scale": deviation if self.scale is None else self.scale,
        }
        return self.model_copy(update=update)

    @property
    def meaning(self) -> dict[str, object]:
        """How it is bent and scaled or cut, and what it counts, but for a learned prior."""
        options = self.model_dump(include={"clip", "log1p", "standardise", "mean", "scale"})
        statistic = None if self.statistic is None else self.statistic.model_dump(exclude={"prior"})
        return {**options, "buckets": self.buckets, "aggregate": statistic}

    def going_on(self, known: Self) -> Self:
        """Return the same with the mean, scale or edges of `known`: a value means what it did."""
        update = {name: getattr(known, name) for name in ("mean", "scale", "buckets")}
        return self.model_copy(update=update)

    @property
    def is_fitted(self) -> bool:
        """Whether edges, or mean and scale, are known."""
        if self.buckets is not None:
            return isinstance(self.buckets, tuple)
        return not self.standardise or (self.mean is not None and self.scale is not None)

    @property
    def column_type(self) -> pa.DataType:
        """A 64-bit float."""
        return pa.float64()

    def invent(self, words: Sequence[str], rng: np.random.Generator) -> Raw:
        """Draw near the mean, or near an edge."""
        del words
        edges = self.buckets if isinstance(self.buckets, tuple) else ()
        middle = edges[rng.integers(len(edges))] if edges else self.mean or 0.0
        drawn = middle + (self.scale or 1.0) * float(rng.standard_normal())
        value = math.copysign(math.expm1(min(abs(drawn), 80.0)), drawn) if self.log1p else drawn
        return max(-LIMIT, min(LIMIT, value))

    def _bend(self, values: Array) -> Array:
        if self.clip is not None:
            values = np.clip(values, *self.clip)
        return np.sign(values) * np.log1p(np.abs(values)) if self.log1p else values

    def own_rows(self) -> int | None:
        """Return the reserved rows and one row a bucket; None for a scaled value."""
        if self.buckets is None:
            return None
        inner = self.buckets - 1 if isinstance(self.buckets, int) else len(self.buckets)
        return FIRST_WORD_ROW + inner + 1

    @classmethod
    def inputs(cls, features: Mapping[str, Self]) -> list[Input]:
        """All numbers of a side share one packed float tensor, NaN meaning missing."""
        return [Input("numbers", "float32", ("batch", len(features)))] if features else []

    @classmethod
    def pack(
        cls, features: Mapping[str, Self], records: Sequence[Mapping[str, Raw]]
    ) -> dict[str, Array]:
        """Fill `numbers` [batch, features]."""
        if not features:
            return {}
        rows = [
            [math.nan if (value := record.get(name)) is None else value for name in features]
            for record in records
        ]
        return {"numbers": np.array(rows, dtype=np.float32).reshape(len(rows), len(features))}

    @classmethod
    def graph(cls, features: Mapping[str, Self], tables: Tables, graph: "Graph") -> None:
        """Cut all bucketed columns at once, and scale all others at once."""
        columns = {name: position for position, name in enumerate(features)}
        for form, build in (("id", _bucket_graph), ("value", _scale_graph)):
            chosen = {name: f for name, f in features.items() if f.form == form}
            if chosen:
                positions = graph.constant(np.array([columns[n] for n in chosen], dtype=np.int64))
                picked = graph.node("Gather", ["numbers", positions], axis=1)
                build(list(chosen.values()), picked, graph)


def _quantile_edges(known: Array, buckets: int) -> tuple[float, ...]:
    """Return the inner edges of equally filled buckets; fewer where values repeat.

    An edge is a value of the data, so that no bucket is one that nothing trained.
    """
    if not known.size:
        return ()
    edges = np.quantile(known, np.linspace(0, 1, buckets + 1)[1:-1], method="higher")
    edges = np.unique(np.float32(edges).astype(np.float64))
    return tuple(float(edge) for edge in edges[edges > known.min()])


def _bucket_graph(features: list[Number], numbers: str, graph: "Graph") -> None:
    """Row = first word row + number of edges at or below the value; NaN has the missing row."""
    edges = [f.buckets if isinstance(f.buckets, tuple) else () for f in features]
    # Nothing is at or above NaN, so what pads a shorter row of edges is never counted.
    table = np.full((len(edges), max(1, *map(len, edges))), np.nan, dtype=np.float32)
    for padded, inner in zip(table, edges, strict=True):
        padded[: len(inner)] = inner
    wide = graph.node("Unsqueeze", [numbers, graph.constant(np.array([2]))])
    passed = graph.node("GreaterOrEqual", [wide, graph.constant(table[None])])
    whole = graph.node("Cast", [passed], to=graph.INT64)
    count = graph.node("ReduceSum", [whole, graph.constant(np.array([2]))], keepdims=0)
    row = graph.node("Add", [count, graph.constant(np.array(FIRST_WORD_ROW, dtype=np.int64))])
    unknown = graph.node("IsNaN", [numbers])
    missing = graph.constant(np.array(MISSING_ROW, dtype=np.int64))
    graph.emit_ids(graph.node("Where", [unknown, missing, row]))


def _scale_graph(features: list[Number], numbers: str, graph: "Graph") -> None:
    """Clip, bend and standardise; NaN goes through untouched."""

    def column(values: list[float]) -> str:
        return graph.constant(np.array([values], dtype=np.float32))

    bounds = [f.clip or (-LIMIT, LIMIT) for f in features]
    value = graph.node("Max", [numbers, column([low for low, _ in bounds])])
    value = graph.node("Min", [value, column([high for _, high in bounds])])
    if any(f.log1p for f in features):
        size = graph.node("Add", [graph.node("Abs", [value]), column([1.0] * len(features))])
        bent = graph.node("Mul", [graph.node("Sign", [value]), graph.node("Log", [size])])
        chosen = graph.constant(np.array([[f.log1p for f in features]]))
        value = graph.node("Where", [chosen, bent, value])
    value = graph.node("Sub", [value, column([f.mean or 0.0 for f in features])])
    value = graph.node("Div", [value, column([f.scale or 1.0 for f in features])])
    value = graph.node("Max", [value, column([-FARTHEST] * len(features))])
    value = graph.node("Min", [value, column([FARTHEST] * len(features))])
    nan = graph.constant(np.array(np.nan, dtype=np.float32))
    graph.emit_values(graph.node("Where", [graph.node("IsNaN", [numbers]), nan, value]))
