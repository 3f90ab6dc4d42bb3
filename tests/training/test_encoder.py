from pathlib import Path
from typing import Any

import numpy as np
import pytest

from export.contract.features import MISSING_ROW, Raw
from export.contract.side import SideName
from tests.training.conftest import world_config
from training import encoder as encoding
from training.config import parse_config
from training.encoder import Encoder
from training.prepare import Prepared, prepare
from training.rows import RowEncoder

SIDES: tuple[SideName, ...] = ("user", "item")
Records = list[dict[str, Raw]]


@pytest.fixture(scope="module")
def prepared(world: Path) -> Prepared:
    return prepare(parse_config(world_config(world), world / "train.yaml"))


def records_of(prepared: Prepared, side: SideName) -> Records:
    return RowEncoder(prepared.schema, side, prepared.data, prepared.log).raw_records()


def assert_equal(one: Any, other: Any) -> None:
    if isinstance(one, np.ndarray):
        np.testing.assert_array_equal(one, other)
        return
    for part in ("indptr", "values", "weights", "missing"):
        np.testing.assert_array_equal(getattr(one, part), getattr(other, part))


@pytest.mark.parametrize("side", SIDES)
def test_a_feature_alone_is_encoded_as_among_others(prepared: Prepared, side: SideName) -> None:
    records = records_of(prepared, side)
    together = Encoder(prepared.schema, side).columns(records)
    assert together.keys() == prepared.schema.side(side).features.keys()
    for name, column in together.items():
        alone = Encoder.of_feature(prepared.schema, side, name)
        assert_equal(alone.columns([{name: record.get(name)} for record in records])[name], column)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("chunk", [1, 7])
def test_cutting_the_work_into_chunks_changes_nothing(
    prepared: Prepared, side: SideName, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    records, encoder = records_of(prepared, side)[:20], Encoder(prepared.schema, side)
    whole = encoder.columns(records)
    monkeypatch.setattr(encoding, "CHUNK", chunk)
    for name, column in encoder.columns(records).items():
        if isinstance(column, np.ndarray) and column.dtype == np.float32:
            other = whole[name]
            assert isinstance(other, np.ndarray)
            # a logarithm of many at once may differ in its last bit from that of one
            np.testing.assert_allclose(column, other, rtol=1e-6)
        else:
            assert_equal(column, whole[name])


def test_a_missing_bag_is_empty_and_an_empty_one_is_not_missing(prepared: Prepared) -> None:
    encoder = Encoder(prepared.schema, "item")
    column: Any = encoder.columns([{}, {"tags": []}, {"tags": ["no such word"]}])["tags"]
    assert column.missing.tolist() == [True, False, False]
    assert column.lengths.tolist() == [0, 0, 1]


def test_an_unknown_record_is_missing_everywhere(prepared: Prepared) -> None:
    arrays = Encoder(prepared.schema, "user").encode([{}])
    assert (arrays["ids"] == MISSING_ROW).all()
    assert np.isnan(arrays["values"]).all()
