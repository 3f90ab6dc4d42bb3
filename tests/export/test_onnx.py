"""The tower files of a real run: what they take and give, and that they equal what was trained."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import numpy_helper

from export.contract.bundle import BundleLayout
from export.contract.errors import BundleError
from export.contract.features import FIRST_WORD_ROW
from export.contract.run import RunLayout
from export.contract.schema import Schema, read_schema
from export.contract.session import open_session
from export.contract.side import SIDES, Record, SideName
from export.embedder import Embedder
from export.golden import invented
from export.onnx import TOLERANCE, prove_parity


@pytest.fixture(scope="module")
def layout(exported: Path) -> BundleLayout:
    return BundleLayout(exported)


@pytest.fixture(scope="module")
def schema(layout: BundleLayout) -> Schema:
    return read_schema(layout.schema)


@pytest.fixture(scope="module")
def embedder(layout: BundleLayout, schema: Schema) -> Embedder:
    return Embedder.open(layout, schema)


@pytest.mark.parametrize("side", SIDES)
class TestTowerFile:
    def test_inputs_are_those_of_the_schema_in_order(
        self, layout: BundleLayout, schema: Schema, side: SideName
    ) -> None:
        graph = onnx.load(layout.tower(side)).graph
        kinds = {"string": 8, "float32": 1, "bool": 9}
        got = [(one.name, one.type.tensor_type.elem_type, _shape(one)) for one in graph.input]
        assert got == [(o.name, kinds[o.dtype], o.shape) for o in schema.side(side).inputs]

    def test_output_is_vector_and_its_batch_is_named(
        self, layout: BundleLayout, schema: Schema, side: SideName
    ) -> None:
        graph = onnx.load(layout.tower(side)).graph
        assert [(one.name, _shape(one)) for one in graph.output] == [
            ("vector", ("batch", schema.dim))
        ]

    def test_file_stands_alone(self, layout: BundleLayout, side: SideName) -> None:
        model = onnx.load(layout.tower(side), load_external_data=False)
        assert all(not one.external_data for one in model.graph.initializer)
        assert not list(layout.folder.glob("*.data"))

    def test_file_tells_nothing_of_where_it_was_made(
        self, layout: BundleLayout, run: RunLayout, side: SideName
    ) -> None:
        content = layout.tower(side).read_bytes()
        for path in (run.folder, Path(__file__).parents[2]):
            assert str(path).encode() not in content
        assert b"training." not in content

    @pytest.mark.parametrize("size", [1, 7, 64])
    def test_file_gives_what_was_trained(
        self, layout: BundleLayout, schema: Schema, run: RunLayout, side: SideName, size: int
    ) -> None:
        tower = open_session(layout.tower(side))
        found = prove_parity(run, schema, side, tower, invented(schema, side, size))
        assert found["max_abs_difference"] <= TOLERANCE
        assert sum(found["rows"].values()) == 2 * (size + 1)

    @pytest.mark.parametrize("length", [0, 1, 60])
    def test_bags_of_any_length_are_embedded(
        self, layout: BundleLayout, schema: Schema, run: RunLayout, side: SideName, length: int
    ) -> None:
        words = [f"w{number}" for number in range(length)]
        bags: dict[SideName, Record] = {
            "user": {"val_1": words, "add": dict.fromkeys(words, 2.0)},
            "item": {"tags": words},
        }
        tower = open_session(layout.tower(side))
        records = [bags[side]] * 9
        assert prove_parity(run, schema, side, tower, records)["max_abs_difference"] <= TOLERANCE

    def test_absent_preference_never_changes_the_vector(
        self, embedder: Embedder, schema: Schema, side: SideName
    ) -> None:
        preference = schema.side(side).preference
        records = invented(schema, side, 60)
        bare = [{n: v for n, v in one.items() if n not in preference} for one in records]
        nowhere = [False] * len(records)
        np.testing.assert_array_equal(
            embedder.embed(side, records, nowhere), embedder.embed(side, bare, nowhere)
        )
        everywhere = embedder.embed(side, records, [True] * len(records))
        assert np.abs(everywhere - embedder.embed(side, bare, nowhere)).max() > 1e-3

    @pytest.mark.parametrize(("off", "is_refused"), [(8e-6, False), (1.2e-5, True), (np.nan, True)])
    def test_tower_that_is_off_is_refused(
        self,
        layout: BundleLayout,
        schema: Schema,
        run: RunLayout,
        side: SideName,
        off: float,
        is_refused: bool,
    ) -> None:
        model = onnx.load(layout.tower(side))
        last = model.graph.node[-1]  # vector = Identity(tower.vector)
        moved = numpy_helper.from_array(np.float32(off), "moved")
        model.graph.initializer.append(moved)
        last.op_type = "Add"
        last.input.append("moved")
        tower = open_session(model.SerializeToString())
        records = invented(schema, side, 4)
        if not is_refused:
            assert prove_parity(run, schema, side, tower, records)["max_abs_difference"] > off / 2
            return
        with pytest.raises(BundleError, match=rf"{side} tower, batch 1: .* differ by"):
            prove_parity(run, schema, side, tower, records)


def test_context_is_compared_though_no_table_holds_any(
    layout: BundleLayout, schema: Schema, run: RunLayout
) -> None:
    model = onnx.load(layout.tower("user"))
    (table,) = [one for one in model.graph.initializer if one.name.endswith("user/tab.weight")]
    rows = numpy_helper.to_array(table).copy()
    rows[FIRST_WORD_ROW:] += 0.1
    table.CopyFrom(numpy_helper.from_array(rows, table.name))
    tower = open_session(model.SerializeToString())
    with pytest.raises(BundleError, match="user tower, batch .* differ by"):
        prove_parity(run, schema, "user", tower, [{"region": "r1"}] * 20)


def _shape(value: onnx.ValueInfoProto) -> tuple[str | int, ...]:
    return tuple(d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim)


WORD = st.text(max_size=5).filter(lambda word: word and "\x1f" not in word)


@given(
    recent=st.lists(st.sampled_from([f"i{n:04}" for n in range(70)]) | WORD, max_size=9),
    profile=st.dictionaries(st.sampled_from(["art", "cars"]) | WORD, st.floats(1e-9, 1e9)),
    rate=st.floats(-3e38, 3e38),
)
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_preference_value_reaches_a_user_without_preference(
    embedder: Embedder, recent: list[str], profile: dict[str, float], rate: float
) -> None:
    record: Record = {"region": "r1", "val_1": recent, "add": profile, "rate": rate}
    got, bare = (embedder.embed("user", [one], [False]) for one in (record, {"region": "r1"}))
    np.testing.assert_array_equal(got, bare)


@given(st.dictionaries(st.sampled_from(["region", "tab"]), st.text() | st.none()))
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_word_leads_outside_a_table(embedder: Embedder, words: dict[str, str | None]) -> None:
    """Raw, as a client in another language sends it: onnxruntime wraps row -1 without a word."""
    session = embedder._towers["user"]
    given_words = [words.get(name) for name in ("region", "tab")]
    inputs = embedder.schema.user.pack([{}], [True])
    strings = ["\x1f" if word is None else word for word in given_words]
    inputs["strings"] = np.array([strings], dtype=object)
    known = [
        word if word in embedder.schema.words("user")[name] or word == "\x1f" else "~"
        for name, word in zip(("region", "tab"), strings, strict=True)
    ]
    got = session.run(["vector"], inputs)[0]
    expected = session.run(["vector"], inputs | {"strings": np.array([known], dtype=object)})[0]
    np.testing.assert_array_equal(got, expected)
