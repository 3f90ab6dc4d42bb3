"""Bundles of an inner product, and of every tower: trained, exported, opened, recalled."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pyarrow.parquet as pq
import pytest
from onnx import TensorProto, helper, numpy_helper

from export.bundling import export_run
from export.contract.bundle import BundleLayout
from export.contract.errors import BundleError
from export.contract.run import RunLayout
from export.contract.schema import read_schema
from export.contract.session import open_session
from export.contract.side import SIDES, SideName
from export.contract.similarity import ROOM, lifted_items, lifted_users
from export.contract.tables import read_records
from export.embedder import open_bundle
from export.golden import invented
from export.lift import PREFIX, lift
from export.offline import embed_file, recall_file
from export.onnx import convert, prove_parity
from tests.export.conftest import CONFIG, write_world
from tests.export.forged import copied, edit_json
from tests.once import once

TOWERS: dict[str, dict[str, Any]] = {
    "additive": CONFIG["tower"],
    "dropoutnet": {
        "kind": "dropoutnet",
        "dim": 16,
        "embedding": 8,
        "content": [8],
        "preference": [8],
        "hidden": [8],
    },
}
MADE = [("dropoutnet", "cosine"), ("additive", "inner_product")]


def train_and_export(root: Path, tower: str, similarity: str) -> None:
    from training.config import parse_config  # torch, which few tests of this room need
    from training.run import run_training

    write_world(root)
    raw = CONFIG | {"tower": TOWERS[tower], "similarity": similarity}
    raw["ranker"] = None
    raw["training"] = {"epochs": 1, "batch": 128, "refit": False, "learning_rate": 0.02}
    run_training(parse_config(raw, root / "train.yaml"), root / "run")
    export_run(root / "run", root / "made-1")


def made(factory: pytest.TempPathFactory, tower: str, similarity: str) -> Path:
    """Return a folder with `run` and `made-1`, the bundle of it."""
    name = f"{tower}-{similarity}"
    return once(factory, name, partial(train_and_export, tower=tower, similarity=similarity))


@pytest.fixture(scope="module", params=MADE, ids="-".join)
def each(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory, *request.param)


@pytest.fixture(scope="module")
def inner(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory, "additive", "inner_product")


def raw_vectors(root: Path, side: SideName, records: Any) -> np.ndarray:
    """Return what the tower gives before any lift."""
    layout = RunLayout(root / "run")
    schema = read_schema(layout.schema)
    session = convert(layout, schema, side).open()
    features = schema.side(side)
    present = [features.has_preference(one) for one in records]
    vectors: np.ndarray = session.run(["vector"], features.pack(records, present))[0]
    return vectors


def test_a_bundle_of_every_tower_opens_with_vectors_of_the_length_it_says(each: Path) -> None:
    bundle, embedder = open_bundle(each / "made-1")
    lifted = bundle.manifest.similarity == "inner_product"
    assert bundle.schema.similarity == bundle.manifest.similarity
    assert bundle.manifest.dim == bundle.schema.dim == bundle.vectors.shape[1] == 16 + lifted
    assert embedder.embed("user", [{}]).shape == (1, 16 + lifted)
    assert (bundle.manifest.largest_norm is not None) == lifted


@pytest.mark.parametrize("side", SIDES)
def test_a_lift_that_is_off_is_refused(inner: Path, side: SideName) -> None:
    layout = RunLayout(inner / "run")
    schema = read_schema(layout.schema)
    raw = convert(layout, schema, side)
    records = invented(schema, side, 8)
    good, other = (raw.lifted(side, norm).open() for norm in (30.0, 31.0))
    assert prove_parity(layout, schema, side, good, records, 30.0)
    if side == "item":
        with pytest.raises(BundleError, match="item tower, batch 1: .* differ by"):
            prove_parity(layout, schema, side, other, records, 30.0)


def test_raw_vectors_have_lengths_of_their_own(inner: Path) -> None:
    """Else there is nothing that a lift has to keep."""
    layout = RunLayout(inner / "run")
    items = read_records(layout.items, read_schema(layout.schema).item, "item_id")
    norms = np.linalg.norm(raw_vectors(inner, "item", items.records), axis=1)
    assert norms.max() > 1.2 * norms.min()
    assert abs(norms - 1).max() > 0.05


def test_the_bound_is_the_longest_of_the_catalogue_with_room_and_stands_in_the_graph(
    inner: Path,
) -> None:
    bundle = open_bundle(inner / "made-1")[0]
    items = read_records(RunLayout(inner / "run").items, bundle.schema.item, "item_id")
    warm = raw_vectors(inner, "item", items.records)
    content = bundle.schema.item.content
    bare = [{n: v for n, v in one.items() if n in content} for one in items.records]
    longest = np.linalg.norm(np.concatenate([warm, raw_vectors(inner, "item", bare)]), axis=1).max()
    assert bundle.manifest.largest_norm == pytest.approx(ROOM * longest, rel=1e-6)
    graph = onnx.load(bundle.layout.tower("item")).graph
    (constant,) = [one for one in graph.initializer if one.name == f"{PREFIX}M"]
    assert float(numpy_helper.to_array(constant)) == pytest.approx(bundle.manifest.largest_norm)
    assert (bundle.vectors[:, -1] > 0).all()


def test_recall_from_a_bundle_goes_by_the_raw_inner_product(inner: Path, tmp_path: Path) -> None:
    run, bundle = RunLayout(inner / "run"), open_bundle(inner / "made-1")[0]
    users = read_records(run.users, bundle.schema.user, "user_id")
    items = read_records(run.items, bundle.schema.item, "item_id")
    raw_users = raw_vectors(inner, "user", users.records)
    raw = raw_users @ raw_vectors(inner, "item", items.records).T
    out = tmp_path / "recalled.parquet"
    recall_file(inner / "made-1", run.users, 60, out, exact=True)
    table = pq.read_table(out).to_pydict()
    place = {one: at for at, one in enumerate(items.ids)}
    got = np.array([place[one] for one in table["item_id"]]).reshape(len(users.ids), 60)
    ordered = np.take_along_axis(raw, got, axis=1)
    scale = np.abs(raw).max()
    assert (np.diff(ordered, axis=1) <= 1e-5 * scale).all()
    cosine = raw / np.linalg.norm(raw_vectors(inner, "item", items.records), axis=1)
    assert (np.diff(np.take_along_axis(cosine, got, axis=1), axis=1) > 1e-5).any()
    scores = np.array(table["score"]).reshape(ordered.shape)
    norms = np.linalg.norm(raw_users, axis=1, keepdims=True)
    assert scores == pytest.approx(ordered / (norms * bundle.manifest.largest_norm), abs=1e-5)


def test_a_bundle_is_evaluated_as_its_run_is(inner: Path) -> None:
    from training.evaluate import evaluate
    from training.subject import open_subject

    run, bundle = (
        evaluate([open_subject(inner / name, inner / "data")]) for name in ("run", "made-1")
    )
    for name, found in run["slices"]["model"].items():
        assert bundle["slices"]["model"][name] == pytest.approx(found, abs=1e-3)


def raw_tower(dim: int) -> onnx.ModelProto:
    """Return a graph that passes its input on as `vector`."""
    tensors = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", dim])
        for name in ("x", "vector")
    ]
    node = helper.make_node("Identity", ["x"], ["vector"])
    graph = helper.make_graph([node], "tower", tensors[:1], tensors[1:])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


@pytest.mark.parametrize("batch", [1, 7])
def test_nodes_of_the_lift_equal_its_formula_with_items_beyond_the_bound_cut(batch: int) -> None:
    vectors = np.random.default_rng(0).standard_normal((batch, 3)).astype(np.float32)
    vectors[0] *= 10 / np.linalg.norm(vectors[0])
    lifted = (lifted_users(vectors), lifted_items(vectors, 2.0))
    for side, expected in zip(SIDES, lifted, strict=True):
        session = open_session(lift(raw_tower(3), side, 2.0).SerializeToString())
        got = session.run(["vector"], {"x": vectors})[0]
        np.testing.assert_allclose(got, expected, atol=1e-6)
        assert session.get_outputs()[0].shape == ["batch", 4]
    assert got[0, -1] == 0
    assert np.linalg.norm(got[0, :-1]) == pytest.approx(1)


def test_items_that_are_cut_are_told(inner: Path, tmp_path: Path) -> None:
    """A length that no training has seen makes a vector longer than any of the catalogue."""
    (tmp_path / "items.csv").write_text("item_id,length_s\na,1e30\nb,12\n", encoding="utf-8")
    told: list[str] = []
    out = tmp_path / "v.parquet"
    embed_file(inner / "made-1", "item", tmp_path / "items.csv", out, on_note=told.append)
    vectors = np.array(pq.read_table(out)["vector"].to_pylist())
    assert vectors[0, -1] == 0 < vectors[1, -1]
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)
    assert any(text.startswith("1 items are longer than") for text in told)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"largest_norm": None}, "largest_norm: expected that of the lift with 'inner_product'"),
        ({"largest_norm": -1.0}, "largest_norm"),
        ({"similarity": "cosine"}, "largest_norm: expected none with 'cosine'"),
        ({"similarity": "cosine", "largest_norm": None}, "not the one the manifest names"),
    ],
)
def test_a_manifest_that_misstates_the_lift_is_refused(
    inner: Path, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    bundle = copied(inner / "made-1", tmp_path)
    edit_json(BundleLayout(bundle).manifest, lambda manifest: manifest | change)
    with pytest.raises(BundleError, match=message):
        open_bundle(bundle)
