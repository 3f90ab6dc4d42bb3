"""What every feature kind keeps, on both sides; and what each of their options changes."""

import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from export.contract.errors import RecordError
from export.contract.features import (
    KINDS,
    MISSING_ROW,
    PADDING_ROW,
    Cross,
    Feature,
    FeatureKind,
    Mismatch,
    Number,
    Raw,
    SequenceFeature,
    Tags,
    Vector,
)
from export.contract.schema import Schema
from export.contract.sharing import shared_tables, table_of
from export.contract.side import SIDES, Record, SideName
from tests.export.contract.encoded import WORDS, encode, parsed, schema_of
from tests.floats import floats

FEATURE: TypeAdapter[Feature] = TypeAdapter(Feature)

VARIANTS: list[dict[str, Any]] = [
    {"kind": "category"},
    {"kind": "category", "table": "words"},
    {"kind": "number", "standardise": False},
    {"kind": "number", "mean": 2.0, "scale": 3.0, "clip": [-5.0, 5.0]},
    {"kind": "number", "mean": 2.0, "scale": 3.0, "log1p": True},
    {"kind": "number", "buckets": [-1.0, 0.0, 2.5]},
    {"kind": "number", "buckets": []},
    {"kind": "tags", "max_length": 3},
    {"kind": "tags", "table": "words", "weights": True, "separator": "|"},
    {"kind": "sequence", "max_length": 4},
    {"kind": "sequence", "table": "words", "separator": ";"},
    {"kind": "category", "vocabulary": "hashed", "buckets": 7},
    {"kind": "tags", "vocabulary": "hashed", "buckets": 7, "weights": True},
    {"kind": "sequence", "vocabulary": "hashed", "buckets": 1, "table": "words"},
    {"kind": "tags", "vocabulary": "given", "words_from": "words.txt"},
    {"kind": "tags", "weights": True, "pooling": "attention"},
    {"kind": "text"},
    {"kind": "text", "max_length": 2, "vocabulary": "hashed", "buckets": 7, "table": "words"},
    {"kind": "vector", "size": 3},
    {"kind": "vector", "size": 2, "normalise": True},
]


FLOATS = st.floats(allow_nan=False, allow_infinity=False, width=32)


def name_of(options: dict[str, Any]) -> str:
    return "-".join(f"{key}={value}" for key, value in options.items()).removeprefix("kind=")


def schema_with(options: dict[str, Any], side: SideName = "item") -> Schema:
    """Return a schema with the feature `f`, over WORDS where it has a vocabulary."""
    feature = FEATURE.validate_python(options)
    has_words = feature.form in ("id", "bag") and feature.own_rows() is None
    tables = {table_of(side, "f", feature): WORDS} if has_words else {}
    return schema_of({"f": options}, tables, side=side)


def invented(schema: Schema, count: int, side: SideName = "item") -> list[dict[str, Any]]:
    """Make records up, some without a value."""
    rng = np.random.default_rng(count)
    feature, words = schema.side(side).features["f"], schema.words(side).get("f", ())
    return [{"f": feature.invent(words, rng)} if rng.random() < 0.8 else {} for _ in range(count)]


MADE = {"cross"}  # of other features, and so with tests of its own in test_cross.py


def test_every_member_stands_in_the_tests_of_the_family() -> None:
    kinds = {kind.model_fields["kind"].default for kind in KINDS}
    assert {options["kind"] for options in VARIANTS} == kinds - MADE


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("options", VARIANTS, ids=name_of)
class TestEveryMember:
    def test_declaration_survives_json(self, options: dict[str, Any], side: SideName) -> None:
        schema = schema_with(options, side)
        assert Schema.model_validate_json(schema.model_dump_json(exclude_none=True)) == schema

    def test_parsing_again_changes_nothing(self, options: dict[str, Any], side: SideName) -> None:
        schema = schema_with(options, side)
        for record in invented(schema, 50, side):
            assert schema.side(side).parse(record) == record

    def test_null_is_missing(self, options: dict[str, Any], side: SideName) -> None:
        schema = schema_with(options, side).side(side)
        assert schema.parse({"f": None}) == schema.parse({}) == {}

    def test_column_gives_back_what_was_stored(
        self, options: dict[str, Any], side: SideName
    ) -> None:
        schema = schema_with(options, side)
        feature = schema.side(side).features["f"]
        values = [record.get("f") for record in invented(schema, 50, side)]
        column = pa.array([feature.stored(value) for value in values], feature.column_type)
        assert [feature.cell(cell) for cell in column.to_pylist()] == values

    @pytest.mark.parametrize("size", [0, 1, 7, 64])
    def test_pack_gives_exactly_the_declared_inputs(
        self, options: dict[str, Any], side: SideName, size: int
    ) -> None:
        schema = schema_with(options, side)
        packed = schema.side(side).pack(invented(schema, size, side), [True] * size)
        declared = {one.name: one for one in schema.side(side).inputs}
        assert packed.keys() == declared.keys()
        for name, array in packed.items():
            shape = declared[name].shape
            assert len(array) == size
            assert array.ndim == len(shape)
            assert all(
                isinstance(d, str) or d == n for d, n in zip(shape, array.shape, strict=True)
            )
            assert array.dtype == {"string": object, "float32": np.float32}[declared[name].dtype]

    def test_batch_is_encoded_as_its_rows_are(
        self, options: dict[str, Any], side: SideName
    ) -> None:
        schema = schema_with(options, side)
        records = invented(schema, 30, side)
        together = encode(schema, records, side=side)
        for row, record in enumerate(records):
            for name, alone in encode(schema, [record], side=side).items():
                width = alone.shape[1]
                # A logarithm may differ in the last bit by its place in the batch.
                np.testing.assert_allclose(together[name][row, :width], alone[0], rtol=1e-6)
                assert not together[name][row, width:].any()  # padding: row 0, weight 0

    def test_missing_is_told_from_everything_known(
        self, options: dict[str, Any], side: SideName
    ) -> None:
        schema = schema_with(options, side)
        known = [record for record in invented(schema, 40, side) if record]
        arrays = encode(schema, [*known, {}], side=side)
        rows = next(arrays[name] for name in ("ids", "values", "f") if name in arrays)
        if rows.dtype == np.float32:
            assert np.isnan(rows).all(axis=1).tolist() == [False] * len(known) + [True]
            return
        assert (rows[:, 0] == MISSING_ROW).tolist() == [False] * len(known) + [True]

    def test_rows_stay_inside_the_table_and_values_inside_their_bound(
        self, options: dict[str, Any], side: SideName
    ) -> None:
        schema = schema_with(options, side)
        feature = schema.side(side).features["f"]
        hostile: list[Any] = (
            [-3e38, 3e38, 0.0] if isinstance(feature, Number) else ["", "\x1f", "\0", "red\0"]
        )
        wrap = isinstance(feature, (Tags, SequenceFeature))
        raw: list[Record] = [{"f": [value] if wrap else value} for value in hostile]
        if isinstance(feature, Vector):
            raw = [
                {"f": floats(*[value] * (feature.size or 1))} for value in (-3e38, 3e38, 1e-45, 0.0)
            ]
        arrays = encode(schema, [*raw, *invented(schema, 60, side)], side=side)
        if feature.form in ("value", "vector"):  # no table; what holds it instead is a bound
            found = arrays["values" if feature.form == "value" else "f"]
            assert np.nanmax(np.abs(found)) <= 1e12
            return
        rows = arrays["ids" if "ids" in arrays else "f"]
        assert rows.min() >= PADDING_ROW
        assert rows.max() < schema.rows(table_of(side, "f", feature))


@dataclass(frozen=True)
class Change:
    """An option, and a value that is encoded otherwise with it than without."""

    kind: str
    option: str
    value: Any
    raw: Raw
    base: dict[str, Any]


N = {"kind": "number", "standardise": False}
CHANGES = [
    Change("number", "clip", [0, 2], 3.0, N),
    Change("number", "log1p", True, 3.0, N),
    Change("number", "standardise", False, 3.0, {"kind": "number", "mean": 1.0, "scale": 2.0}),
    Change("number", "mean", 1.0, 3.0, {"kind": "number", "mean": 0.0, "scale": 2.0}),
    Change("number", "scale", 4.0, 3.0, {"kind": "number", "mean": 0.0, "scale": 2.0}),
    Change("number", "buckets", [1, 2], 1.5, {"kind": "number", "mean": 0.0, "scale": 1.0}),
    Change("tags", "max_length", 1, ["red", "blue"], {"kind": "tags"}),
    Change("sequence", "max_length", 1, ["red", "blue"], {"kind": "sequence"}),
    Change("text", "max_length", 1, "red blue", {"kind": "text"}),
    Change("vector", "normalise", True, floats(3.0, 4.0), {"kind": "vector", "size": 2}),
]
# What these change lies elsewhere: the words that training keeps, which table they share, how a
# text cell is read, whether there is an input of weights, and what a tower makes of them.
WORDED = ("category", "tags", "sequence", "text")
VOCABULARY = ("table", "min_count", "vocabulary", "words_from", "buckets", "hash")
ELSEWHERE = {
    *[(kind.model_fields["kind"].default, "dim") for kind in KINDS],
    *[(kind, o) for kind in WORDED for o in VOCABULARY],
    *[("tags", o) for o in ("separator", "weights")],
    *[(kind, "pooling") for kind in ("tags", "sequence", "text")],
    ("sequence", "separator"),
    *[("vector", o) for o in ("size", "file")],
    ("text", "vectors"),
    *[("cross", o) for o in (*VOCABULARY, "of")],
}


def test_every_option_is_tested_for_what_it_changes() -> None:
    options = {
        (kind.model_fields["kind"].default, option)
        for kind in KINDS
        for option in kind.model_fields.keys() - {"kind", "statistic"}
    }
    assert options == ELSEWHERE | {(one.kind, one.option) for one in CHANGES}


@pytest.mark.parametrize("change", CHANGES, ids=lambda c: f"{c.kind}.{c.option}")
def test_option_changes_the_encoding(change: Change) -> None:
    changed = {**change.base, change.option: change.value}
    if change.option in ("standardise", "buckets"):  # stand without mean and scale
        changed = {"kind": "number", change.option: change.value}
    results = []
    for options in (change.base, changed):
        arrays = encode(schema_with(options), [{"f": change.raw}])
        results.append({name: array.tolist() for name, array in arrays.items()})
    assert results[0] != results[1]


@pytest.mark.parametrize("kind", WORDED)
def test_equal_table_names_share_one_vocabulary(kind: str) -> None:
    schema = schema_of(
        {"a": {"kind": kind, "table": "t"}, "b": {"kind": kind}}, {"t": [], "item.b": []}
    )
    uses = shared_tables([("user", schema.user), ("item", schema.item)])
    assert uses == {"t": [("item", "a")], "item.b": [("item", "b")]}


@pytest.mark.parametrize("kind", ["tags", "sequence"])
def test_text_cell_is_split_at_the_separator(kind: str) -> None:
    assert FEATURE.validate_python({"kind": kind}).cell("b, a,,c;d ") == ["b", "a", "c;d"]
    semicolon = FEATURE.validate_python({"kind": kind, "separator": ";"})
    assert semicolon.cell("b, a,,c;d ") == ["b, a,,c", "d"]


def test_weights_are_an_input_only_where_declared() -> None:
    assert [one.name for one in schema_with({"kind": "tags"}).item.inputs] == ["f"]
    weighted = schema_with({"kind": "tags", "weights": True})
    assert [one.name for one in weighted.item.inputs] == ["f", "f.weights"]


REFUSED: list[tuple[dict[str, Any], object, str]] = [
    ({"kind": "category"}, 1.5, "a non-empty word"),
    ({"kind": "category"}, "", "a non-empty word"),
    ({"kind": "category"}, ["a"], "a non-empty word"),
    ({"kind": "category"}, "a\x1fb", "U+001F"),
    ({"kind": "category"}, "\ud800", "whole characters"),
    ({"kind": "number"}, True, "a finite number"),
    ({"kind": "number"}, "3", "a finite number"),
    ({"kind": "number"}, float("nan"), "a finite number"),
    ({"kind": "number"}, float("inf"), "a finite number"),
    ({"kind": "number"}, -float("inf"), "a finite number"),
    ({"kind": "number"}, 10**400, "a finite number"),
    ({"kind": "number"}, 3.5e38, "a finite number"),
    ({"kind": "number"}, [1], "a finite number"),
    ({"kind": "tags"}, "a", "a list"),
    ({"kind": "tags"}, {"a": 1}, "a list"),
    ({"kind": "tags"}, ["a", None], "a list"),
    ({"kind": "tags"}, ["a", 1.5], "a list"),
    ({"kind": "tags"}, ["a", ""], "a list"),
    ({"kind": "tags"}, ["\x1f"], "U+001F"),
    ({"kind": "tags"}, 5, "a list"),
    ({"kind": "tags", "weights": True}, ["a"], "a mapping"),
    ({"kind": "tags", "weights": True}, {"a": 0}, "above 0"),
    ({"kind": "tags", "weights": True}, {"a": -1}, "above 0"),
    ({"kind": "tags", "weights": True}, {"a": True}, "weights"),
    ({"kind": "tags", "weights": True}, {"a": "2"}, "weights"),
    ({"kind": "tags", "weights": True}, {"a": float("nan")}, "finite"),
    ({"kind": "tags", "weights": True}, {"a": float("inf")}, "finite"),
    ({"kind": "tags", "weights": True}, {"": 1}, "words"),
    ({"kind": "tags", "weights": True}, {"a\x1f": 1}, "U+001F"),
    ({"kind": "sequence"}, "a", "oldest first"),
    ({"kind": "sequence"}, {"a": 1}, "oldest first"),
    ({"kind": "sequence"}, [["a"]], "oldest first"),
    ({"kind": "text"}, 3, "text or null"),
    ({"kind": "text"}, ["a"], "text or null"),
    ({"kind": "text"}, "a\x1fb", "U+001F"),
    ({"kind": "text"}, "\ud800", "whole characters"),
    ({"kind": "vector", "size": 2}, [1.0], "a list of 2 finite numbers, or null; this has 1"),
    ({"kind": "vector"}, [], "a list of 1 to 65536 finite numbers, or null; this has 0"),
    ({"kind": "vector"}, 1.0, "a list"),
    ({"kind": "vector"}, "1,2", "a list"),
    ({"kind": "vector"}, {"a": 1.0}, "a list"),
    ({"kind": "vector"}, [1.0, None], "finite numbers"),
    ({"kind": "vector"}, [1.0, "2"], "finite numbers"),
    ({"kind": "vector"}, [True], "finite numbers"),
    ({"kind": "vector"}, [[1.0]], "finite numbers"),
    ({"kind": "vector"}, [float("nan"), 1.0], "finite numbers"),
    ({"kind": "vector"}, [float("inf")], "finite numbers"),
    ({"kind": "vector"}, [10**400], "finite numbers"),
]


@pytest.mark.parametrize(("options", "value", "expected"), REFUSED)
def test_wrong_value_is_refused_with_what_would_be_right(
    options: dict[str, Any], value: object, expected: str
) -> None:
    with pytest.raises(Mismatch, match=expected.replace("+", r"\+")):
        FEATURE.validate_python(options).parse(value)


@pytest.mark.parametrize(
    ("options", "value", "read"),
    [
        ({"kind": "category"}, 7, "7"),
        ({"kind": "category"}, "07", "07"),
        ({"kind": "category"}, True, "true"),
        ({"kind": "number"}, 7, 7.0),
        ({"kind": "tags"}, ["b", 1, "b", True], ["b", "1", "true"]),
        ({"kind": "tags", "weights": True}, {"a": 2, 3: 0.5}, {"a": 2.0, "3": 0.5}),
        ({"kind": "sequence"}, ["b", 1, "b"], ["b", "1", "b"]),
        ({"kind": "tags"}, [], []),
        ({"kind": "sequence"}, [], []),
        ({"kind": "tags", "weights": True}, {}, {}),
        ({"kind": "text"}, "A  b.", "A  b."),
        ({"kind": "text"}, "", ""),
        ({"kind": "vector"}, [1, 0.5], floats(1.0, 0.5)),
        ({"kind": "vector", "size": 1}, (0.1,), floats(0.1)),
    ],
)
def test_value_is_read_as_its_kind_means_it(
    options: dict[str, Any], value: object, read: object
) -> None:
    got = FEATURE.validate_python(options).parse(value)
    assert got == read
    assert type(got) is type(read)


@pytest.mark.parametrize("options", [*VARIANTS, {"kind": "tags", "weights": True}], ids=name_of)
def test_empty_text_cell_is_missing(options: dict[str, Any]) -> None:
    assert FEATURE.validate_python(options).cell("") is None


@pytest.mark.parametrize(
    ("cell", "read"),
    [
        ("a:2,b:1", {"a": 2.0, "b": 1.0}),
        (" a : 2 ,x:y:0.5", {"a": 2.0, "x:y": 0.5}),
        ([("a", 2.0)], {"a": 2.0}),
        ({"a": 2.0}, {"a": 2.0}),
        ([], {}),
    ],
)
def test_weighted_cell_is_read(cell: object, read: dict[str, float]) -> None:
    assert Tags(weights=True).cell(cell) == read


@pytest.mark.parametrize(
    "cell", ["a", "a:b", "a:nan", ":1", "a:0", "a:1,a:2", ["a"], ["ab"], [3], [["a"]], [([], 1.0)]]
)
def test_bad_weighted_cell_is_refused(cell: object) -> None:
    with pytest.raises(Mismatch):
        Tags(weights=True).cell(cell)


@pytest.mark.parametrize("cell", ["nan", "inf", "1e400", "abc", "1,5"])
def test_bad_number_cell_is_refused(cell: str) -> None:
    with pytest.raises(Mismatch, match="a finite number"):
        Number().cell(cell)


@pytest.mark.parametrize(
    ("cell", "read"),
    [
        ("1,2.5", floats(1.0, 2.5)),
        (" 1 , 2.5 ", floats(1.0, 2.5)),
        ("1 2.5", floats(1.0, 2.5)),
        ([1.0, 2.5], floats(1.0, 2.5)),
        ([float("nan")] * 2, None),
    ],
)
def test_vector_cell_is_read(cell: object, read: object) -> None:
    assert Vector(size=2).cell(cell) == read


@pytest.mark.parametrize("cell", ["1", "1,2,3", "1,,2", "a,b", "1;2", "nan,1", [1.0], [1.0, None]])
def test_bad_vector_cell_is_refused(cell: object) -> None:
    with pytest.raises(Mismatch, match="a list of 2 finite numbers"):
        Vector(size=2).cell(cell)


def test_number_cell_reads_text_and_takes_nan_for_missing() -> None:
    assert [Number().cell(cell) for cell in (" 2.5 ", "1e3", " ", float("nan"), 4)] == [
        2.5,
        1000.0,
        None,
        None,
        4.0,
    ]


BAD_OPTIONS: list[tuple[dict[str, Any], str]] = [
    ({"kind": "numbr"}, "number"),
    ({"kind": "number", "bucket": 3}, "bucket"),
    ({"kind": "number", "buckets": 1}, "2 to 1000"),
    ({"kind": "number", "buckets": [2, 1]}, "rise"),
    ({"kind": "number", "buckets": [1, 1]}, "rise"),
    ({"kind": "number", "buckets": [1, float("inf")]}, "finite"),
    ({"kind": "number", "buckets": 3, "log1p": True}, "beside"),
    ({"kind": "number", "buckets": 3, "mean": 0}, "beside"),
    ({"kind": "number", "buckets": 3, "standardise": False}, "beside"),
    ({"kind": "number", "clip": [2, 1]}, "low < high"),
    ({"kind": "number", "clip": [0, float("inf")]}, "finite"),
    ({"kind": "number", "scale": 0}, "greater than"),
    ({"kind": "number", "mean": float("nan")}, "finite|nan|less than|greater than"),
    ({"kind": "number", "standardise": False, "mean": 1}, "standardise"),
    ({"kind": "vector", "size": 0}, "greater than"),
    ({"kind": "text", "vectors": "v", "vocabulary": "hashed", "buckets": 3}, "hashed vocabulary"),
    ({"kind": "vector", "aggregate": "count"}, "cannot hold"),
    ({"kind": "category", "dim": 0}, "greater than"),
    ({"kind": "category", "table": "user.country"}, "pattern"),
    ({"kind": "category", "min_count": 0}, "greater than"),
    ({"kind": "tags", "aggregate": "profile", "of": "t", "weights": False}, "weights"),
    ({"kind": "tags", "aggregate": "last"}, "cannot hold"),
    ({"kind": "number", "aggregate": "count", "statistic": {"aggregate": "count"}}, "one of them"),
    ({"kind": "number", "aggregate": "count", "windw": "7d"}, "windw"),
]


@pytest.mark.parametrize(("options", "message"), BAD_OPTIONS, ids=lambda o: str(o)[:60])
def test_bad_option_names_itself(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        FEATURE.validate_python(options)


@pytest.mark.parametrize(
    ("options", "length"),
    [
        ({"kind": "sequence", "aggregate": "last", "n": 100}, 100),
        ({"kind": "sequence", "statistic": {"aggregate": "last", "n": 7}}, 7),
        ({"kind": "sequence", "aggregate": "last", "n": 100, "max_length": 9}, 9),
        ({"kind": "sequence", "aggregate": "last"}, 50),
        ({"kind": "tags", "aggregate": "profile", "of": "t", "words": 80}, 80),
        ({"kind": "tags"}, 50),
    ],
)
def test_length_holds_what_the_statistic_gives(options: dict[str, Any], length: int) -> None:
    feature = FEATURE.validate_python(options)
    assert isinstance(feature, (SequenceFeature, Tags))
    assert feature.max_length == length


def test_statistic_may_be_written_flat_or_nested() -> None:
    flat = {"kind": "number", "log1p": True, "aggregate": "count", "window": "7d"}
    nested = {"kind": "number", "log1p": True, "statistic": {"aggregate": "count", "window": "7d"}}
    assert FEATURE.validate_python(flat) == FEATURE.validate_python(nested)


def test_a_vector_is_held_in_four_bytes_a_number() -> None:
    held = Vector().parse([0.1] * 1000)
    assert sys.getsizeof(held) < 5 * 1000
    np.testing.assert_array_equal(np.asarray(held), np.full(1000, 0.1, np.float32))


class TestFit:
    def test_mean_and_scale_are_those_of_the_bent_values(self) -> None:
        values = [None, 0.0, 1.0, 2.0, 100.0]
        fitted = Number(clip=(0, 9), log1p=True).fit(values)
        bent = np.log1p([0, 1, 2, 9])
        assert fitted.mean == pytest.approx(bent.mean())
        assert fitted.scale == pytest.approx(bent.std())

    def test_given_mean_and_scale_stay(self) -> None:
        fitted = Number(mean=1.0, scale=2.0).fit([5.0, 6.0])
        assert (fitted.mean, fitted.scale) == (1.0, 2.0)

    @pytest.mark.parametrize("values", [[], [None], [0.1] * 7, [1e9 + 0.1] * 3])
    def test_constant_column_is_not_blown_up(self, values: list[float | None]) -> None:
        assert Number().fit(values).scale == 1.0

    @given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=80), st.integers(2, 12))
    def test_learned_edges_part_the_values_as_evenly_as_ties_allow(
        self, values: list[float], buckets: int
    ) -> None:
        fitted = Number(buckets=buckets).fit(values)
        edges = np.array(fitted.buckets)
        assert len(edges) < buckets
        assert fitted.is_fitted
        counts = np.bincount(np.searchsorted(edges, values, side="right"), minlength=len(edges) + 1)
        assert counts.min() > 0  # no bucket that nothing falls into
        most_equal = max(values.count(value) for value in values)
        assert counts.max() <= most_equal + -(-len(values) // buckets) + 1

    @pytest.mark.parametrize("kind", KINDS)
    def test_fit_leaves_nothing_blank(self, kind: type[FeatureKind]) -> None:
        values = [floats(1.0, 2.0)] if kind is Vector else []
        needed = {"of": ("a", "b")} if kind is Cross else {}
        assert kind(**needed).fit(values).is_fitted

    def test_vector_learns_its_length(self) -> None:
        fitted = Vector().fit([None, floats(1.0, 2.0), floats(3.0, 4.0)])
        assert (fitted.size, fitted.is_fitted, Vector().is_fitted) == (2, True, False)

    def test_vectors_of_several_lengths_are_refused_with_both(self) -> None:
        with pytest.raises(Mismatch, match="one length; got some of 2 and of 3"):
            Vector().fit([floats(1.0, 2.0), floats(1.0, 2.0, 3.0)])

    def test_vector_without_any_value_has_to_be_given_its_length(self) -> None:
        with pytest.raises(Mismatch, match="`size`; got neither"):
            Vector().fit([None])
        assert Vector(size=3).fit([]).size == 3

    def test_vector_comes_from_a_file_or_from_a_statistic(self) -> None:
        assert Vector(file="looks.parquet").data_files == ("looks.parquet",)
        assert Vector().data_files == ()
        both = {"aggregate": "item_vectors", "vectors": "v.parquet", "file": "looks.parquet"}
        with pytest.raises(ValidationError, match="got a file and an aggregate"):
            Vector.model_validate(both)

    def test_unfitted_number_says_so(self) -> None:
        assert not Number().is_fitted
        assert not Number(buckets=4).is_fitted


@given(st.lists(st.text(min_size=1).filter(lambda word: "\x1f" not in word), max_size=6))
def test_any_text_is_encoded(words: list[str]) -> None:
    schema = schema_with({"kind": "sequence"})
    rows = encode(schema, parsed(schema, [{"f": words}]))["f"][0]
    expected = [3 + WORDS.index(word) if word in WORDS else 2 for word in words]
    assert rows.tolist() == (expected or [0])


@given(st.lists(FLOATS, min_size=1, max_size=5))
def test_normalised_vector_has_length_one_unless_it_is_all_zero(numbers: list[float]) -> None:
    schema = schema_with({"kind": "vector", "size": len(numbers), "normalise": True})
    found = encode(schema, [{"f": floats(*numbers)}])["f"][0].astype(np.float64)
    if not any(numbers):
        assert np.isnan(found).all()
        return
    largest = max(map(abs, numbers))
    expected = np.array(numbers) / largest
    np.testing.assert_allclose(found, expected / np.linalg.norm(expected), atol=1e-6)


def test_vector_as_it_is_keeps_its_numbers_zeros_too() -> None:
    schema = schema_with({"kind": "vector", "size": 2})
    found = encode(schema, [{"f": floats(0.0, 0.0)}, {"f": floats(0.5, -7.0)}, {}])["f"]
    np.testing.assert_array_equal(found, np.array([[0, 0], [0.5, -7], [np.nan, np.nan]]))


def test_vector_that_fits_no_others_is_told_with_its_feature() -> None:
    side = schema_with({"kind": "vector", "size": 2}).item
    with pytest.raises(RecordError, match=r"feature 'f': .* a list of 2 .*; this has 1"):
        side.pack([{"f": floats(1.0)}], [False])
