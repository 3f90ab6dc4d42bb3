from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError

from export.contract.errors import DataError
from tests.training.tables import make_data, write
from training.data import Data
from training.given import GivenSplit
from training.slices import FEW_SHOT, Slices
from training.split import TEST, TRAIN, UNUSED, VALIDATION, make_split

Pairs = list[tuple[str, str]]

# A published protocol in small: items 3 and 4 are cold, one of them for validation.
TRAIN_PAIRS: Pairs = [("u0", "i0"), ("u0", "i1"), ("u1", "i1"), ("u1", "i2")]
VALIDATION_PAIRS: Pairs = [("u0", "i3")]
WARM_TEST: Pairs = [("u0", "i2")]
COLD_TEST: Pairs = [("u0", "i4"), ("u1", "i4")]
OTHER: Pairs = [("u1", "i0")]


def table(found: Pairs) -> dict[str, list[str]]:
    return {"user_id": [user for user, _ in found], "item_id": [item for _, item in found]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(
        tmp_path,
        train=table(TRAIN_PAIRS),
        validation=table(VALIDATION_PAIRS),
        warm=table(WARM_TEST),
        cold=table(COLD_TEST),
        cold_items={"item_id": ["i4", "i3", "i4"]},
        seen=table(TRAIN_PAIRS + VALIDATION_PAIRS),
    )
    return tmp_path


@pytest.fixture
def data() -> Data:
    every = TRAIN_PAIRS + VALIDATION_PAIRS + WARM_TEST + COLD_TEST + OTHER
    return make_data([int(u[1]) for u, _ in every], [int(i[1]) for _, i in every])


FILES = {
    "train": "train.parquet",
    "validation": "validation.parquet",
    "test": ["warm.parquet", "cold.parquet"],
}


def given(**options: Any) -> GivenSplit:
    return GivenSplit.model_validate({"files": FILES} | options)


def test_files_of_pairs_say_the_part_of_each_row(data: Data, folder: Path) -> None:
    split = make_split(given(), data, folder)
    assert split.part.tolist() == [TRAIN] * 4 + [VALIDATION] + [TEST] * 3 + [UNUSED]
    assert split.cold_items[TEST].tolist() == [False, False, False, False, True]


def test_every_row_of_a_pair_plays_its_part(folder: Path) -> None:
    data = make_data([0, 0, 0], [0, 1, 0], users=2, items=5)
    write(folder, one=table([("u0", "i0")]), other=table([("u0", "i1")] * 2))
    files = {"train": "one.parquet", "test": "other.parquet"}
    config = given(files=files, validation={"pairs": 0, "items": 0, "users": 0})
    assert make_split(config, data, folder).part.tolist() == [TRAIN, TEST, TRAIN]


def test_candidates_and_mask_of_a_slice_are_those_of_its_files(data: Data, folder: Path) -> None:
    config = given(candidates={"cold_item": "cold_items.parquet"}, mask={"all": "seen.parquet"})
    split = make_split(config, data, folder)
    assert split.candidates["cold_item"].tolist() == [3, 4]
    slices = Slices.of(data, split, TEST)
    assert slices.named("cold_item").candidates.tolist() == [3, 4]
    assert slices.named("warm").candidates.tolist() == [0, 1, 2, 3, 4]
    masked = slices.named("all").search.masked
    assert masked is not None
    assert masked.of(0).tolist() == [0, 1, 3]
    plain = Slices.of(data, make_split(given(), data, folder), TEST)
    assert plain.named("cold_item").candidates.tolist() == [4]


def test_candidates_change_the_recall(data: Data, folder: Path) -> None:
    def recall(config: GivenSplit) -> float:
        slices = Slices.of(data, make_split(config, data, folder), TEST)
        likes_item_3 = np.tile(np.array([0, 0, 0, 2, 1], np.float32), (2, 1))
        return slices.measure(lambda users: likes_item_3[users], (1,))["cold_item"].recall[1]

    assert recall(given()) == 1  # item 4 is the only cold candidate
    # user 0 has item 3 masked; user 1 has it ahead of item 4
    assert recall(given(candidates={"cold_item": "cold_items.parquet"})) == 0.5


def test_users_of_a_slice_are_measured_alone(data: Data, folder: Path) -> None:
    write(folder, measured={"user_id": ["u1"]})

    def measured(config: GivenSplit, name: str) -> list[int]:
        slices = Slices.of(data, make_split(config, data, folder), TEST, FEW_SHOT)
        return np.flatnonzero(np.diff(slices.named(name).relevant.starts)).tolist()

    assert measured(given(), "cold_item") == [0, 1]
    some = given(users={"cold_item": "measured.parquet"})
    assert measured(some, "cold_item") == [1]
    assert measured(some, "all") == measured(some, "item 0") == [0, 1]
    assert measured(given(users={"all": "measured.parquet"}), "item 0") == [1]
    assert "measured.parquet" in some.data_files


def test_a_file_without_a_user_to_measure_is_refused(data: Data, folder: Path) -> None:
    write(folder, measured={"user_id": pa.array([], pa.string())})
    with pytest.raises(DataError, match="expected the users that warm is measured on"):
        make_split(given(users={"warm": "measured.parquet"}), data, folder)


@pytest.mark.parametrize(
    ("pairs", "told"),
    [
        ([("u0", "i0"), ("u9", "i0")], r"column 'user_id', row 2: got 'u9', expected an id that"),
        ([("u0", "i9")], r"column 'item_id', row 1: got 'i9', expected an id that the items list"),
        ([("u0", "i0"), ("u1", "i3")], r"row 2: the pair \('u1', 'i3'\) is no interaction"),
        ([("u0", "i4"), ("u0", "i1")], r"row 2: the pair \('u0', 'i1'\) stands in train as well"),
    ],
)
def test_a_wrong_pair_names_file_column_and_row(
    data: Data, folder: Path, pairs: Pairs, told: str
) -> None:
    write(folder, wrong=table(pairs))
    config = given(files=FILES | {"test": "wrong.parquet"})
    with pytest.raises(DataError, match=r"wrong\.parquet: .*" + told):
        make_split(config, data, folder)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"candidates": {"warm": "none.parquet"}}, r"none\.parquet: no such file"),
        ({"candidates": {"warm": "odd.parquet"}}, r"odd\.parquet: .*'item_id', row 1: got 'x'"),
        ({"mask": {"warm": "odd.parquet"}}, r"odd\.parquet: no column 'user_id'"),
        ({"candidates": {"warm": "empty.parquet"}}, r"empty\.parquet: no row; expected the items"),
        ({"files": FILES | {"train": "odd.parquet"}}, r"odd\.parquet: no column 'user_id'"),
    ],
)
def test_a_wrong_file_is_named(
    data: Data, folder: Path, options: dict[str, Any], told: str
) -> None:
    empty = np.array([], dtype=str).astype(object)
    write(folder, odd={"item_id": ["x"]}, empty={"item_id": pa.array(empty, pa.string())})
    with pytest.raises(DataError, match=told):
        make_split(given(**options), data, folder)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"column": "split"}, "column and files say the same"),
        ({"candidates": {"warmish": "x.parquet"}}, "warmish"),
        ({"files": {"train": "train.parquet"}}, "test"),
        ({"files": FILES | {"train": []}}, "train"),
    ],
)
def test_options_that_do_not_fit_are_refused(options: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        given(**options)


def test_masks_without_a_row_mask_nothing(data: Data, folder: Path) -> None:
    none = pa.array([], pa.string())
    write(folder, nothing={"user_id": none, "item_id": none})
    slices = Slices.of(data, make_split(given(mask={"all": "nothing.parquet"}), data, folder), TEST)
    masked = slices.named("all").search.masked
    assert masked is not None
    assert not len(masked.items)
