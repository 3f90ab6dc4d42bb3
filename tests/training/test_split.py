from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from export.contract.errors import DataError
from tests.training.tables import make_data, write
from training.data import Data
from training.document import parse_yaml
from training.split import (
    TEST,
    TRAIN,
    UNUSED,
    VALIDATION,
    ByTimeSplit,
    FirstSeenSplit,
    GivenSplit,
    HeldOutIdsSplit,
    Split,
    ValidationConfig,
    make_split,
)

NOWHERE = Path("nowhere")
NAMES = {UNUSED: "unused", TRAIN: "train", VALIDATION: "validation", TEST: "test"}


def random_data(seed: int = 0, rows: int = 6000, users: int = 300, items: int = 200) -> Data:
    rng = np.random.default_rng(seed)
    user, item = rng.integers(0, users, rows), rng.integers(0, items, rows)
    time = rng.permutation(rows)
    return make_data(user, item, timestamp=time, users=users, items=items)


BY_TIME, HELD_OUT = ByTimeSplit(), HeldOutIdsSplit()
KINDS = pytest.mark.parametrize("config", [BY_TIME, HELD_OUT], ids=lambda c: c.kind)


def flags_of(split: Split, data: Data, part: int) -> np.ndarray:
    rows = data.interactions
    return split.cold_users[part][rows.user] | split.cold_items[part][rows.item]


@KINDS
def test_no_cold_id_of_test_has_a_row_before_test(config: Any) -> None:
    data = random_data()
    split = make_split(config, data, NOWHERE)
    before = (split.part == TRAIN) | (split.part == VALIDATION)
    assert not (flags_of(split, data, TEST) & before).any()


@KINDS
def test_no_pseudo_cold_id_has_a_train_row(config: Any) -> None:
    data = random_data()
    split = make_split(config, data, NOWHERE)
    assert not (flags_of(split, data, VALIDATION) & (split.part == TRAIN)).any()
    pseudo = split.cold_items[VALIDATION] & ~split.cold_items[TEST]
    assert pseudo.any()
    assert (pseudo[data.interactions.item] & (split.part == VALIDATION)).any()


@KINDS
def test_whoever_is_cold_for_test_is_cold_for_validation(config: Any) -> None:
    split = make_split(config, random_data(), NOWHERE)
    for cold in (split.cold_users, split.cold_items):
        assert not (cold[TEST] & ~cold[VALIDATION]).any()


@KINDS
def test_shares_are_near_what_was_asked(config: Any) -> None:
    data = random_data(rows=20_000, users=1000, items=1000)
    split = make_split(config, data, NOWHERE)
    share = {name: count / 20_000 for name, count in split.counts().items()}
    assert share["test"] == pytest.approx(0.2, abs=0.015)
    assert share["unused"] == pytest.approx(0.8 * (1 - 0.85**2), abs=0.03)
    assert share["train"] == pytest.approx(0.8 * 0.85**2 * 0.9**3, abs=0.03)
    assert split.cold_items[TEST].mean() == pytest.approx(0.15, abs=0.04)
    assert split.cold_users[TEST].mean() == pytest.approx(0.15, abs=0.04)


@KINDS
def test_validation_is_carved_from_train_alone(config: Any) -> None:
    data = random_data()
    little = {"validation": {"pairs": 0.01, "items": 0, "users": 0}}
    carved = make_split(config, data, NOWHERE)
    barely = make_split(config.model_validate(config.model_dump() | little), data, NOWHERE)
    for part in (TEST, UNUSED):
        assert ((carved.part == part) == (barely.part == part)).all()


@pytest.mark.parametrize("seed", range(5))
def test_held_out_ids_are_the_same_whatever_else_the_tables_hold(seed: int) -> None:
    rng = np.random.default_rng(seed)
    whole = make_data(np.arange(8000) % 200, np.arange(8000) % 199, timestamp=rng.permutation(8000))
    part = make_data(np.arange(2000) % 50, np.arange(2000) % 49, timestamp=rng.permutation(2000))
    splits = [make_split(ByTimeSplit(seed=seed), data, NOWHERE) for data in (whole, part)]
    for cold in ("cold_users", "cold_items"):
        first, second = (getattr(split, cold)[TEST] for split in splits)
        assert first[: len(second)].tolist() == second.tolist()
        assert 0 < first.sum() < len(first) / 2


def test_by_time_tests_the_latest_rows() -> None:
    data = random_data()
    split = make_split(BY_TIME, data, NOWHERE)
    time = data.interactions.timestamp
    assert time is not None
    assert time[split.part == TEST].min() > time[split.part != TEST].max()


def test_by_time_validates_on_the_latest_pairs_of_train() -> None:
    data = random_data()
    config = ByTimeSplit(validation=ValidationConfig(items=0, users=0))
    split = make_split(config, data, NOWHERE)
    time = data.interactions.timestamp
    assert time is not None
    assert time[split.part == VALIDATION].min() > time[split.part == TRAIN].max()


def test_held_out_ids_need_no_time() -> None:
    data = random_data()
    timeless = make_data(data.interactions.user, data.interactions.item, users=300, items=200)
    one, other = (make_split(HELD_OUT, each, NOWHERE) for each in (data, timeless))
    assert (one.part == other.part).all()


def test_by_time_without_timestamps_says_what_to_use() -> None:
    with pytest.raises(DataError, match="no timestamp; use held_out_ids or given"):
        make_split(BY_TIME, make_data([0, 1], [0, 1]), NOWHERE)


def test_equal_timestamps_leave_no_test_row() -> None:
    data = make_data(np.arange(100) % 50, np.arange(100) % 40, timestamp=np.zeros(100))
    config = ByTimeSplit(cold_items=0, cold_users=0)
    with pytest.raises(DataError, match="no test row is left"):
        make_split(config, data, NOWHERE)


def test_nothing_left_to_train_is_refused_with_the_counts() -> None:
    data = make_data([0, 0], [0, 1], split=["test", "unused"])
    with pytest.raises(DataError, match=r"no train row is left \(\{'unused': 1, 'train': 0"):
        make_split(GivenSplit(), data, NOWHERE)


def test_an_id_without_an_earlier_row_is_cold_though_not_held_out() -> None:
    data = make_data(
        [0, 0, 0, 0, 1, 0, 0], [0, 1, 0, 1, 0, 2, 0], timestamp=range(7), users=2, items=4
    )
    config = ByTimeSplit(
        test=0.4, cold_items=0, cold_users=0, validation=ValidationConfig(items=0, users=0)
    )
    split = make_split(config, data, NOWHERE)
    assert split.part.tolist() == [TRAIN, TRAIN, TRAIN, VALIDATION, TEST, TEST, TEST]
    assert split.cold_users[TEST].tolist() == [False, True]
    assert split.cold_items[TEST].tolist() == [False, False, True, True]


def first_seen(moment: Any, **options: Any) -> FirstSeenSplit:
    return FirstSeenSplit.model_validate({"moment": moment} | options)


def test_first_seen_tests_from_the_moment_on_and_the_new_are_cold() -> None:
    data = make_data(
        [0, 0, 0, 0, 1, 0, 0], [0, 1, 0, 1, 0, 2, 0], timestamp=range(7), users=2, items=4
    )
    none = {"pairs": 0, "items": 0, "users": 0}
    split = make_split(first_seen(4, validation=none), data, NOWHERE)
    assert split.part.tolist() == [TRAIN] * 4 + [TEST] * 3
    assert split.cold_users[TEST].tolist() == [False, True]
    assert split.cold_items[TEST].tolist() == [False, False, True, True]
    later = make_split(first_seen(5, validation=none), data, NOWHERE)
    assert later.cold_users[TEST].tolist() == [False, False]


def test_nobody_is_cold_by_draw_who_was_seen_before_the_moment() -> None:
    data = random_data()
    split = make_split(first_seen(5000), data, NOWHERE)
    before = np.isin(split.part, (TRAIN, VALIDATION))
    assert before.sum() == 5000, "no row before the moment is left unused"
    seen = np.isin(np.arange(200), data.interactions.item[before])
    assert (split.cold_items[TEST] == ~seen).all()


@pytest.mark.parametrize(
    "moment", ["2022-05-01", "2022-05-01T00:00:00Z", "2022-05-01 02:00+02:00", 1651363200]
)
def test_a_moment_is_seconds_or_a_date_and_time(moment: Any) -> None:
    data = random_data(rows=100)
    time = data.interactions.timestamp
    assert time is not None
    time += 1651363200 - 80
    split = make_split(first_seen(moment), data, NOWHERE)
    assert split.counts()["test"] == 20
    assert first_seen(moment) == FirstSeenSplit.model_validate(first_seen(moment).model_dump())


def test_a_date_in_yaml_is_a_moment() -> None:
    raw = parse_yaml("{kind: first_seen, moment: 2022-05-01}")
    assert FirstSeenSplit.model_validate(raw).moment == "2022-05-01"


@pytest.mark.parametrize("moment", ["yesterday", "2022-13-01"])
def test_what_is_no_moment_is_refused(moment: str) -> None:
    with pytest.raises(ValidationError, match="expected seconds as a number, or a date and time"):
        first_seen(moment)


@pytest.mark.parametrize("moment", [0, 7, "2022-05-01"])
def test_a_moment_outside_the_log_says_from_when_to_when_it_goes(moment: Any) -> None:
    data = make_data([0] * 7, range(7), timestamp=range(7))
    told = rf"split\.moment: got {moment}.* after the first row \(0 s\) .* the last \(6 s\)"
    with pytest.raises(DataError, match=told):
        make_split(first_seen(moment), data, NOWHERE)


def test_first_seen_needs_time() -> None:
    with pytest.raises(DataError, match="first_seen: interactions have no timestamp"):
        make_split(first_seen(1), make_data([0, 1], [0, 1]), NOWHERE)


PARTS: list[str | None] = ["train", "train", "validation", "test", "unused"]


def test_given_parts_are_taken_as_they_are() -> None:
    data = make_data([0, 1, 2, 3, 4], [0, 1, 2, 3, 4], split=PARTS)
    split = make_split(GivenSplit(), data, NOWHERE)
    assert [NAMES[part] for part in split.part] == PARTS
    assert split.counts() == {"unused": 1, "train": 2, "validation": 1, "test": 1}
    assert split.rows(TRAIN).tolist() == [0, 1]


def test_without_a_cold_file_whoever_has_no_earlier_row_is_cold() -> None:
    data = make_data([0, 1, 2, 3, 4], [0, 0, 1, 1, 2], split=PARTS)
    split = make_split(GivenSplit(), data, NOWHERE)
    assert split.cold_users[VALIDATION].tolist() == [False, False, True, True, True]
    assert split.cold_users[TEST].tolist() == [False, False, False, True, True]
    assert split.cold_items[VALIDATION].tolist() == [False, True, True]
    assert split.cold_items[TEST].tolist() == [False, False, True]


def test_a_cold_file_says_who_is_cold_and_nobody_else_is(tmp_path: Path) -> None:
    cold = {"kind": ["user", "item", "item"], "id": ["u3", "i2", "elsewhere"]}
    write(tmp_path, cold=cold)
    data = make_data([0, 1, 2, 3, 4], [0, 0, 1, 1, 2], split=PARTS)
    split = make_split(GivenSplit(cold="cold.parquet"), data, tmp_path)
    assert split.cold_users[TEST].tolist() == [False, False, False, True, False]
    assert split.cold_items[TEST].tolist() == [False, False, True]


@pytest.mark.parametrize("part", ["train", "validation"])
def test_a_cold_file_that_contradicts_the_rows_is_refused(tmp_path: Path, part: str) -> None:
    write(tmp_path, cold={"kind": ["user"], "id": ["u1"]})
    data = make_data([0, 1], [0, 1], split=["train", part])
    with pytest.raises(DataError, match=r"cold\.parquet: 1 train or validation rows are of ids"):
        make_split(GivenSplit(cold="cold.parquet"), data, tmp_path)


def test_a_cold_file_with_a_wrong_kind_names_the_row(tmp_path: Path) -> None:
    write(tmp_path, cold={"kind": ["user", "users"], "id": ["u7", "u1"]})
    data = make_data([0, 1], [0, 1], split=["train", "test"])
    with pytest.raises(DataError, match="column 'kind', row 2: got 'users', expected user or item"):
        make_split(GivenSplit(cold="cold.parquet"), data, tmp_path)


def test_a_missing_cold_file_is_named(tmp_path: Path) -> None:
    data = make_data([0, 1], [0, 1], split=["train", "test"])
    with pytest.raises(DataError, match=r"none\.parquet: no such file"):
        make_split(GivenSplit(cold="none.parquet"), data, tmp_path)


@pytest.mark.parametrize("bad", ["tset", None])
def test_a_part_that_is_none_names_what_came(bad: str | None) -> None:
    data = make_data([0, 1, 2], [0, 1, 2], split=["train", bad, bad])
    told = rf"column 'split': got {bad!r} \(and 1 more rows\), expected train, validation"
    with pytest.raises(DataError, match=told):
        make_split(GivenSplit(), data, NOWHERE)


def test_a_missing_split_column_names_those_there_are() -> None:
    data = make_data([0], [0], split=["train"])
    with pytest.raises(DataError, match=r"split\.column: .*'fold'.*they have: split"):
        make_split(GivenSplit(column="fold"), data, NOWHERE)


def test_a_given_train_part_is_carved_and_test_stays() -> None:
    base = random_data()
    rng = np.random.default_rng(3)
    parts = np.where(rng.random(6000) < 0.2, "test", "train").tolist()
    rows = base.interactions
    data = make_data(
        rows.user, rows.item, timestamp=rows.timestamp, split=parts, users=300, items=200
    )
    split = make_split(GivenSplit(), data, NOWHERE)
    assert ((split.part == TEST) == (np.array(parts) == "test")).all()
    assert 0.2 < split.counts()["validation"] / parts.count("train") < 0.35
