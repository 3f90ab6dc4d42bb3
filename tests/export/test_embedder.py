"""The embedder gives unit vectors, and opens no bundle that answers otherwise than it should."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import numpy_helper

from export.contract.bundle import BundleLayout
from export.contract.encoder import build_encoder
from export.contract.errors import BundleError, SchemaError
from export.contract.schema import Schema
from export.contract.session import open_session
from export.contract.side import SIDES, Record, SideName
from export.embedder import CHUNK, Embedder, open_bundle
from export.golden import invented
from export.graph import join
from tests.export.forged import sign
from tests.tiny import DIM, TOPICS, tiny_schema, tiny_tower


@pytest.fixture(scope="module")
def embedder(tiny: Path) -> Embedder:
    return open_bundle(tiny)[1]


@pytest.mark.parametrize("side", SIDES)
class TestEmbed:
    @pytest.mark.parametrize("size", [0, 1, 7, 64, CHUNK + 1])
    def test_vectors_are_of_unit_length(
        self, embedder: Embedder, side: SideName, size: int
    ) -> None:
        vectors = embedder.embed(side, invented(tiny_schema(), side, size) if size else [])
        assert (vectors.shape, vectors.dtype) == ((size, DIM), np.dtype(np.float32))
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)

    def test_batch_gives_what_its_rows_give_alone(self, embedder: Embedder, side: SideName) -> None:
        records = invented(tiny_schema(), side, 40)
        alone = [embedder.embed(side, [record])[0] for record in records]
        np.testing.assert_allclose(embedder.embed(side, records), alone, atol=1e-6)

    def test_absurd_numbers_do_no_harm_to_their_batch(
        self, embedder: Embedder, side: SideName
    ) -> None:
        name = {"user": "age", "item": "length"}[side]
        records = [{name: 3.4e38}, {name: -3.4e38}, {}]
        vectors = embedder.embed(side, records)
        np.testing.assert_allclose(vectors[2], embedder.embed(side, [{}])[0], atol=1e-6)


def test_preference_counts_where_it_is_known(embedder: Embedder) -> None:
    cold: Record = {"country": "de"}
    warm: Record = {"country": "de", "taste": {"art": 1.0}}
    vectors = embedder.embed("user", [cold, warm])
    asked = embedder.embed("user", [cold, warm, warm], [False, True, False])
    np.testing.assert_allclose(vectors, asked[:2], atol=1e-6)
    np.testing.assert_allclose(asked[2], asked[0], atol=1e-6)
    assert np.abs(vectors[0] - vectors[1]).max() > 0.01


WORD = st.text(max_size=5).filter(lambda word: word and "\x1f" not in word)


@given(
    recent=st.lists(st.sampled_from([f"i{n}" for n in range(50)]) | WORD, max_size=60),
    taste=st.dictionaries(st.sampled_from(TOPICS) | WORD, st.floats(1e-9, 1e9), max_size=9),
)
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_absent_preference_never_changes_the_vector(
    embedder: Embedder, recent: list[str], taste: dict[str, float]
) -> None:
    content: Record = {"country": "de", "age": 30.0}
    record: Record = {**content, "recent": recent, "taste": taste}
    got = embedder.embed("user", [record], [False])[0]
    np.testing.assert_array_equal(got, embedder.embed("user", [content], [False])[0])


def test_vector_that_is_not_of_unit_length_is_refused(tiny: Path, tmp_path: Path) -> None:
    schema, layout = tiny_schema(), BundleLayout(tmp_path)
    for side in SIDES:
        tower = onnx.load(BundleLayout(tiny).tower(side))
        last = tower.graph.node[-1]  # vector = Identity(...)
        last.op_type = "Neg"
        tower.graph.node.add(op_type="Add", input=["vector", "vector"], output=["twice"])
        tower.graph.output[0].name, last.output[0] = "vector", "half"
        tower.graph.node[-1].input[:] = ["half", "half"]
        tower.graph.node[-1].output[:] = ["vector"]
        onnx.save(tower, layout.tower(side))
    embedder = Embedder.open(layout, schema)
    with pytest.raises(SchemaError, match="user tower gave a vector that is not of unit length"):
        embedder.embed("user", [{}])


def without_tab(schema: Schema) -> Schema:
    return schema.model_copy(update={"user": schema.user.model_copy(update={"context": {}})})


def without_numbers(schema: Schema) -> Schema:
    user = schema.user.model_copy(update={"content": {"country": schema.user.content["country"]}})
    return schema.model_copy(update={"user": user})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.model_copy(update={"dim": 9}), r"gives \['batch', 8\], the schema says"),
        (without_numbers, "user tower: its inputs are"),
        (without_tab, "user tower: its inputs are"),
    ],
)
def test_tower_that_does_not_fit_the_schema_is_refused(
    tiny: Path, change: Callable[[Schema], Schema], message: str
) -> None:
    with pytest.raises(BundleError, match=message):
        Embedder.open(BundleLayout(tiny), change(tiny_schema()))


def test_file_that_is_no_tower_is_refused(spoilt: Path) -> None:
    (spoilt / "user_tower.onnx").write_bytes(b"nonsense")
    sign(spoilt)
    with pytest.raises(BundleError, match=r"user_tower\.onnx"):
        open_bundle(spoilt)


@pytest.mark.parametrize("side", SIDES)
def test_tower_that_breaks_off_is_refused(spoilt: Path, side: SideName) -> None:
    path = BundleLayout(spoilt).tower(side)
    model = onnx.load(path)
    model.graph.node[-1].output[0] = "half"
    model.graph.initializer.append(numpy_helper.from_array(np.full(8, 9), "beyond"))
    model.graph.node.add(op_type="Gather", input=["half", "beyond"], output=["vector"])
    model.graph.node[-1].attribute.append(onnx.helper.make_attribute("axis", 1))
    onnx.save(model, path)
    sign(spoilt)
    with pytest.raises(BundleError, match=r"golden\.json: .*indices element out of data bounds"):
        open_bundle(spoilt)


@pytest.mark.parametrize("side", SIDES)
def test_changed_tower_fails_its_golden_queries(spoilt: Path, side: SideName) -> None:
    """Checksums cannot tell, where the manifest was written anew."""
    path = BundleLayout(spoilt).tower(side)
    model = onnx.load(path)
    table = max(model.graph.initializer, key=lambda one: len(one.raw_data))
    weights = numpy_helper.to_array(table).copy()
    weights[1:] *= -1
    table.CopyFrom(numpy_helper.from_array(weights, table.name))
    onnx.save(model, path)
    sign(spoilt)
    with pytest.raises(BundleError, match=rf"golden\.json: {side} query \d+.* is off by"):
        open_bundle(spoilt)


def test_session_and_file_give_the_same(tiny: Path, embedder: Embedder) -> None:
    """What another language with onnxruntime would do: raw inputs in, `vector` out."""
    session = open_session(BundleLayout(tiny).tower("item"))
    inputs = {
        "topics": np.array([["art", ""], ["food", "music"]], dtype=object),
        "numbers": np.array([[10, np.nan], [np.nan, 3]], dtype=np.float32),
        "present": np.array([[False], [True]]),
    }
    records: list[Record] = [
        {"topics": ["art"], "length": 10.0},
        {"topics": ["food", "music"], "clicks": 3.0},
    ]
    got = session.run(["vector"], inputs)[0]
    np.testing.assert_allclose(got, embedder.embed("item", records), atol=1e-6)


@pytest.mark.parametrize("side", SIDES)
def test_joined_model_takes_the_inputs_of_the_schema(side: SideName) -> None:
    schema = tiny_schema()
    model = join(schema, side, build_encoder(schema, side), tiny_tower(schema, side))
    assert [one.name for one in model.graph.input] == [o.name for o in schema.side(side).inputs]
