"""The ranker of a bundle: hand-made, so that what it says can be worked out."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from export.contract.bundle import read_bundle
from export.contract.errors import BundleError
from export.contract.ranker import Ranker, padded
from export.embedder import open_bundle
from export.ranker import open_ranker
from tests.export.forged import copied, edit_json, sign
from tests.tiny import TOPICS, tiny_bundle, tiny_schema
from tests.tiny_ranker import FACTS, logit_of, tiny_ranker


@pytest.fixture(scope="module")
def ranker(tiny_ranked: Path) -> Ranker:
    bundle = read_bundle(tiny_ranked)
    assert bundle.ranker is not None
    return open_ranker(bundle.layout, bundle.schema, bundle.ranker.facts)


def codes(ranker: Ranker, *topics: list[int], clicks: float | None = None) -> np.ndarray:
    records: list[dict[str, Any]] = [{"topics": [TOPICS[one] for one in each]} for each in topics]
    if clicks is not None:
        records = [record | {"clicks": clicks} for record in records]
    return ranker.code([tiny_schema().item.parse(record) for record in records])


def chance(logit: float) -> float:
    return 1 / (1 + math.exp(-logit))


def test_a_score_is_the_chance_of_a_click(ranker: Ranker) -> None:
    met = codes(ranker, [0], [0, 1])
    candidates = np.concatenate([codes(ranker, [0], clicks=11.0), codes(ranker, [1], [4])])
    found = ranker.score([{}], [True], [met], candidates, np.zeros(3, np.int64))
    logits = [logit_of([[0], [0, 1]], [0], clicks=11), logit_of([[0], [0, 1]], [1]), 0.0]
    assert found.tolist() == pytest.approx([chance(one) for one in logits], abs=1e-6)


def test_users_of_one_run_do_not_meet(ranker: Ranker) -> None:
    histories = [codes(ranker, [2]), codes(ranker, [3], [3], [4])[:0], codes(ranker, [3], [3])]
    candidates = codes(ranker, [2], [3], [2], [3])
    user = np.array([0, 2, 1, 0])
    records: list[dict[str, Any]] = [{}, {"tab": "2"}, {"country": "de"}]
    together = ranker.score(records, [True] * 3, histories, candidates, user)
    for place, one in enumerate(user):
        alone = ranker.score(
            [records[one]], [True], [histories[one]], candidates[[place]], np.zeros(1, np.int64)
        )
        assert together[place] == pytest.approx(alone[0], abs=1e-7)


def test_a_user_without_preference_has_no_history(ranker: Ranker) -> None:
    met, candidates = codes(ranker, [2]), codes(ranker, [2])
    asked = candidates, np.zeros(1, np.int64)
    assert ranker.score([{}], [False], [met], *asked) == ranker.score(
        [{}], [True], [met[:0]], *asked
    )
    assert ranker.score([{}], [True], [met], *asked) > ranker.score([{}], [False], [met], *asked)


def test_of_a_long_history_the_newest_count() -> None:
    keys = np.arange(14, dtype=np.float32).reshape(7, 2)
    found = padded([keys, keys[:1], keys[:0]], 1, 3)
    assert found.shape == (3, 3, 1)
    np.testing.assert_array_equal(found[0, :, 0], [8, 10, 12])
    np.testing.assert_array_equal(found[1, :, 0], [0, np.nan, np.nan])
    assert np.isnan(found[2]).all()
    assert padded([keys[:0]], 2, 3).shape == (1, 1, 2)


def test_items_are_coded_as_they_are_and_as_if_cold(ranker: Ranker, tiny_ranked: Path) -> None:
    bundle = read_bundle(tiny_ranked)
    assert bundle.ranker is not None
    record = bundle.schema.item.parse({"topics": ["food"], "clicks": 8.0})
    warm, cold = ranker.code([record, record], [True, False])
    assert warm.tolist() == [0, 0, 1, 0, 0, 0, 1]
    assert cold.tolist() == [0, 0, 1, 0, 0, 0, 0]
    assert bundle.ranker.codes.shape == (40, FACTS.width)
    np.testing.assert_array_equal(bundle.ranker.codes[8], [0, 0, 1, 0, 0, 0, 1])  # food, 8 clicks


def test_a_bundle_without_a_ranker_has_none(tiny: Path) -> None:
    assert read_bundle(tiny).ranker is None
    assert not list(tiny.glob("ranker*"))


def edit_code(content: Any) -> Any:
    content["codes"][1][2] += 0.001
    return content


def edit_chance(content: Any) -> Any:
    content["ranks"][2]["chances"][0] += 0.001
    return content


def no_ranks(content: Any) -> Any:
    return content | {"ranks": []}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (edit_code, "item query 2: code is off by 0.001"),
        (edit_chance, "rank query 3 is off by 0.001"),
        (no_ranks, "ranks: expected queries"),
    ],
)
def test_golden_queries_of_a_ranker_are_asked_again(
    tiny_ranked: Path, tmp_path: Path, change: Callable[[Any], Any], message: str
) -> None:
    spoilt = copied(tiny_ranked, tmp_path)
    edit_json(spoilt / "golden.json", change)
    sign(spoilt)
    with pytest.raises(BundleError, match=message):
        open_bundle(spoilt)


def test_codes_of_other_items_are_refused(tiny_ranked: Path, tmp_path: Path) -> None:
    spoilt = copied(tiny_ranked, tmp_path)
    np.save(spoilt / "ranker_items.npy", np.load(spoilt / "ranker_items.npy")[::-1])
    sign(spoilt)
    with pytest.raises(BundleError, match=r"item query \d+: ranker_items.npy is off"):
        open_bundle(spoilt)


@pytest.mark.parametrize(
    "change",
    [
        lambda codes: codes[:-1],
        lambda codes: codes.astype(np.float64),
        lambda codes: codes * np.nan,
    ],
)
def test_codes_that_are_none_are_refused(
    tiny_ranked: Path, tmp_path: Path, change: Callable[[Any], Any]
) -> None:
    spoilt = copied(tiny_ranked, tmp_path)
    np.save(spoilt / "ranker_items.npy", change(np.load(spoilt / "ranker_items.npy")))
    sign(spoilt)
    with pytest.raises(
        BundleError, match=r"ranker_items.npy: got .*expected finite float32\[40, 7\]"
    ):
        read_bundle(spoilt)


@pytest.mark.parametrize(
    "name", ["ranker.onnx", "ranker_item.onnx", "ranker.json", "ranker_items.npy"]
)
def test_a_ranker_is_whole_or_not_there(tiny_ranked: Path, tmp_path: Path, name: str) -> None:
    spoilt = copied(tiny_ranked, tmp_path)
    (spoilt / name).unlink()
    sign(spoilt)
    with pytest.raises(BundleError, match=f"checksums: lists no {name}"):
        read_bundle(spoilt)


@pytest.mark.parametrize("name", ["ranker.onnx", "ranker_item.onnx"])
def test_a_ranker_reads_no_file_but_its_own(tiny_ranked: Path, tmp_path: Path, name: str) -> None:
    spoilt = copied(tiny_ranked, tmp_path)
    model = onnx.load(spoilt / name)
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="vectors.npy")
    onnx.save(model, spoilt / name)
    sign(spoilt)
    with pytest.raises(BundleError, match="reads 'vectors.npy'"):
        read_bundle(spoilt)


def test_facts_that_do_not_fit_are_refused(tiny_ranked: Path, tmp_path: Path) -> None:
    spoilt = copied(tiny_ranked, tmp_path)
    edit_json(spoilt / "ranker.json", lambda facts: facts | {"history": "taste"})
    sign(spoilt)
    with pytest.raises(BundleError, match=r"ranker.onnx: its inputs are"):
        open_bundle(spoilt)
    edit_json(spoilt / "ranker.json", lambda facts: facts | {"history": "age"})
    sign(spoilt)
    with pytest.raises(BundleError, match="the user has no preference 'age'"):
        open_bundle(spoilt)


def test_an_empty_catalogue_has_a_ranker_too(tmp_path: Path) -> None:
    bundle, _ = open_bundle(tiny_bundle(tmp_path, items=0, ranker=tiny_ranker))
    assert bundle.ranker is not None
    assert bundle.ranker.codes.shape == (0, FACTS.width)
