"""The encoder graph against its definition, worked by hand."""

from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from export.contract.encoder import IR_VERSION, OPSET, build_encoder
from export.contract.session import open_session
from export.contract.side import Record, Side
from tests.export.contract.encoded import encode, parsed, schema_of

WORD = st.text(min_size=1, max_size=8).filter(lambda word: "\x1f" not in word)
FLOAT32 = st.floats(width=32, allow_nan=False, allow_infinity=False)


def column(options: dict[str, Any], values: list[float | None]) -> list[float]:
    """Return what becomes of the values of one number."""
    schema = schema_of({"f": {"kind": "number", **options}})
    arrays = encode(schema, parsed(schema, [{"f": value} for value in values]))
    found: list[float] = next(iter(arrays.values()))[:, 0].tolist()
    return found


class TestCategory:
    def test_words_begin_at_row_3_unknown_is_2_and_missing_1(self) -> None:
        schema = schema_of({"f": {"kind": "category"}}, {"item.f": ["a", "b"]})
        records: list[Record] = [{"f": "a"}, {"f": "b"}, {"f": "c"}, {"f": None}, {}]
        ids = encode(schema, parsed(schema, records))["ids"]
        assert ids.dtype == np.int64
        assert ids.tolist() == [[3], [4], [2], [1], [1]]

    def test_words_of_two_columns_never_meet(self) -> None:
        features = {"a": {"kind": "category"}, "ab": {"kind": "category"}}
        schema = schema_of(features, {"item.a": ["b", "x", "bx"], "item.ab": ["x", "b"]})
        records = [{"a": "bx", "ab": "x"}, {"a": "b", "ab": "b"}, {"a": "x", "ab": "bx"}]
        ids = encode(schema, parsed(schema, records))["ids"]
        assert ids.tolist() == [[5, 3], [3, 4], [4, 2]]

    @given(st.lists(WORD, unique=True, max_size=5), st.lists(WORD, unique=True, max_size=5), WORD)
    @settings(max_examples=40)
    def test_each_column_looks_up_its_own_words(
        self, left: list[str], right: list[str], word: str
    ) -> None:
        schema = schema_of(
            {"l": {"kind": "category"}, "r": {"kind": "category"}},
            {"item.l": left, "item.r": right},
        )
        for one in (*left, *right, word):
            ids = encode(schema, [{"l": one, "r": one}])["ids"][0].tolist()
            assert ids == [3 + words.index(one) if one in words else 2 for words in (left, right)]

    def test_shared_table_gives_equal_rows_in_every_column(self) -> None:
        features = {
            "a": {"kind": "category", "table": "t"},
            "b": {"kind": "category", "table": "t"},
            "c": {"kind": "tags", "table": "t"},
            "d": {"kind": "sequence", "table": "t"},
        }
        schema = schema_of(features, {"t": ["x", "y"]})
        arrays = encode(schema, [{"a": "y", "b": "y", "c": ["y"], "d": ["y"]}])
        assert arrays["ids"].tolist() == [[4, 4]]
        assert arrays["c"].tolist() == arrays["d"].tolist() == [[4]]

    @pytest.mark.parametrize("word", ["x" * 100_000, "日本語", "🦊", "e\u0301", " a", "A", "a\0"])
    def test_word_is_itself_whatever_its_characters(self, word: str) -> None:
        schema = schema_of({"f": {"kind": "category"}}, {"item.f": ["a", "é"]})
        assert encode(schema, parsed(schema, [{"f": word}]))["ids"].tolist() == [[2]]
        schema = schema_of({"f": {"kind": "category"}}, {"item.f": ["a", "é", word]})
        assert encode(schema, parsed(schema, [{"f": word}]))["ids"].tolist() == [[5]]

    def test_every_word_of_a_large_vocabulary_has_its_own_row(self) -> None:
        words = [f"w{number}" for number in range(50_000)]
        schema = schema_of({"f": {"kind": "category"}}, {"item.f": words})
        ids = encode(schema, [{"f": word} for word in words])["ids"]
        np.testing.assert_array_equal(ids[:, 0], np.arange(3, 50_003))

    def test_missing_token_sent_raw_is_missing_and_hidden_in_a_word_unknown(self) -> None:
        schema = schema_of({"f": {"kind": "category"}}, {"item.f": ["a"]})
        session = open_session(build_encoder(schema, "item").SerializeToString())
        strings = np.array([["\x1f"], ["a\x1f"], [""]], dtype=object)
        assert session.run(None, {"strings": strings})[0].tolist() == [[1], [2], [2]]


class TestNumber:
    def test_standardised(self) -> None:
        assert column({"mean": 10.0, "scale": 4.0}, [10, 14, 8]) == [0.0, 1.0, -0.5]

    def test_clipped_then_bent_then_standardised(self) -> None:
        options = {"clip": [-3, 7], "log1p": True, "mean": 1.0, "scale": 2.0}
        expected = [(np.sign(v) * np.log1p(abs(v)) - 1) / 2 for v in (-3, -1, 0, 5, 7)]
        np.testing.assert_allclose(column(options, [-99, -1, 0, 5, 99]), expected, rtol=1e-6)

    def test_log1p_keeps_the_sign(self) -> None:
        options = {"log1p": True, "standardise": False}
        got = column(options, [-np.expm1(2.0), 0.0, np.expm1(2.0)])
        np.testing.assert_allclose(got, [-2, 0, 2], rtol=1e-6)

    def test_missing_stays_nan_through_every_step(self) -> None:
        options = {"clip": [0, 1], "log1p": True, "mean": 1.0, "scale": 2.0}
        assert np.isnan(column(options, [None])).all()

    def test_value_on_an_edge_is_in_the_upper_bucket(self) -> None:
        got = column({"buckets": [0.1, 1, 2]}, [0.0999, 0.1, 0.5, 1, 1.5, 2, 3, -1e38, 1e38, None])
        assert got == [3, 4, 4, 5, 5, 6, 6, 3, 6, 1]

    def test_columns_with_fewer_edges_count_only_their_own(self) -> None:
        features: dict[str, dict[str, Any]] = {
            "a": {"kind": "number", "buckets": [1, 2, 3]},
            "b": {"kind": "number", "standardise": False},
            "c": {"kind": "number", "buckets": [5]},
            "d": {"kind": "number", "buckets": []},
        }
        schema = schema_of(features)
        session = open_session(build_encoder(schema, "item").SerializeToString())
        inf = np.inf
        numbers = np.array([[9, 9, 9, 9], [inf, 1, inf, inf], [-inf, 1, -inf, -inf]], np.float32)
        ids = dict(zip(("ids", "values"), session.run(None, {"numbers": numbers}), strict=True))
        assert ids["ids"].tolist() == [[6, 4, 3], [6, 4, 3], [3, 3, 3]]

    @given(
        st.lists(FLOAT32, unique=True, max_size=6),
        FLOAT32,
    )
    @settings(max_examples=60)
    def test_bucket_is_the_number_of_edges_at_or_below(
        self, edges: list[float], value: float
    ) -> None:
        expected = 3 + sum(edge <= value for edge in edges)
        assert column({"buckets": sorted(edges)}, [value]) == [expected]

    @pytest.mark.parametrize("value", [3.4e38, -3.4e38])
    @pytest.mark.parametrize(
        "options", [{"mean": -3e38, "scale": 1e-20}, {"mean": 3e38, "scale": 1e-20}]
    )
    def test_absurd_number_stays_finite(self, options: dict[str, Any], value: float) -> None:
        assert abs(column(options, [value])[0]) <= 1e12

    def test_scaled_and_bucketed_columns_may_alternate(self) -> None:
        features: dict[str, Any] = {}
        for number in range(3):
            features[f"s{number}"] = {"kind": "number", "mean": float(number), "scale": 1.0}
            features[f"b{number}"] = {"kind": "number", "buckets": [float(number)]}
        schema = schema_of(features)
        arrays = encode(schema, [dict.fromkeys(features, 1.0)])
        assert schema.item.values == ["s0", "s1", "s2"]
        assert arrays["values"].tolist() == [[1.0, 0.0, -1.0]]
        assert schema.item.ids == ["b0", "b1", "b2"]
        assert arrays["ids"].tolist() == [[4, 4, 3]]


class TestBags:
    def test_padding_is_row_0_missing_1_unknown_2_and_an_empty_bag_all_padding(self) -> None:
        schema = schema_of({"f": {"kind": "tags"}}, {"item.f": ["a", "b"]})
        records: list[Record] = [{"f": ["b", "x", "a"]}, {"f": []}, {"f": None}, {"f": ["a"]}]
        rows = encode(schema, parsed(schema, records))["f"]
        assert rows.tolist() == [[4, 2, 3], [0, 0, 0], [1, 0, 0], [3, 0, 0]]

    def test_tags_keep_the_first_and_drop_repeats(self) -> None:
        schema = schema_of({"f": {"kind": "tags", "max_length": 2}}, {"item.f": ["a", "b", "c"]})
        rows = encode(schema, parsed(schema, [{"f": ["c", "c", "a", "b"]}]))["f"]
        assert rows.tolist() == [[5, 3]]

    def test_sequence_keeps_the_newest_with_repeats(self) -> None:
        schema = schema_of({"f": {"kind": "sequence", "max_length": 3}}, {"item.f": ["a", "b"]})
        rows = encode(schema, parsed(schema, [{"f": ["a", "b", "b", "a", "b"]}]))["f"]
        assert rows.tolist() == [[4, 3, 4]]

    @pytest.mark.parametrize("length", [0, 1, 50, 51, 500])
    def test_bag_is_as_long_as_its_longest_row_and_never_over_the_limit(self, length: int) -> None:
        schema = schema_of({"f": {"kind": "sequence"}}, {"item.f": ["a"]})
        rows = encode(schema, [{"f": ["a"] * length}, {}])["f"]
        assert rows.shape == (2, max(1, min(length, 50)))

    def test_weights_go_with_their_words(self) -> None:
        feature = {"kind": "tags", "weights": True, "max_length": 2}
        schema = schema_of({"f": feature}, {"item.f": ["a", "b"]})
        records: list[Record] = [{"f": {"b": 2.5, "a": 1, "x": 9}}, {"f": {}}, {}, {"f": {"x": 4}}]
        arrays = encode(schema, parsed(schema, records))
        assert arrays["f"].tolist() == [[4, 3], [0, 0], [1, 0], [2, 0]]
        assert arrays["f.weights"].tolist() == [[2.5, 1], [0, 0], [1, 0], [4, 0]]
        assert arrays["f.weights"].dtype == np.float32


def test_output_order_is_that_of_the_schema() -> None:
    side = Side.model_validate(
        {
            "preference": {"p": {"kind": "category"}},
            "content": {"c": {"kind": "category"}, "n": {"kind": "number", "buckets": [1.0]}},
            "context": {"x": {"kind": "category"}},
        }
    )
    assert side.ids == ["c", "x", "p", "n"]


# Names that the graph, the exporter or onnx use for tensors of their own.
OWN_NAMES = ["constant_0", "labelencoder_1", "encoder", "tower", "batch", "encoded", "add"]


@pytest.mark.parametrize("name", OWN_NAMES)
def test_feature_may_be_called_as_the_graph_calls_its_own(name: str) -> None:
    features = {name: {"kind": "tags"}, "c": {"kind": "category"}}
    schema = schema_of(features, {f"item.{name}": ["a"], "item.c": ["a"]})
    arrays = encode(schema, [{name: ["a"], "c": "a"}])
    assert arrays[name].tolist() == arrays["ids"].tolist() == [[3]]


def test_graph_states_the_versions_that_others_have_to_run() -> None:
    model = build_encoder(schema_of({"f": {"kind": "category"}}, {"item.f": []}), "item")
    assert (model.ir_version, model.opset_import[0].version) == (IR_VERSION, OPSET) == (10, 20)


def test_session_runs_on_one_thread() -> None:
    model = build_encoder(schema_of({"f": {"kind": "number", "buckets": [1.0]}}), "item")
    options = open_session(model.SerializeToString()).get_session_options()
    assert isinstance(options, ort.SessionOptions)
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (1, 1)
    assert not options.enable_cpu_mem_arena
