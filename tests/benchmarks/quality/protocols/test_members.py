from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from benchmarks.quality.case import Case
from benchmarks.quality.known import Known
from benchmarks.quality.protocols import PROTOCOLS
from tests.benchmarks.quality.conftest import case_of
from tests.benchmarks.quality.sources import COLD, COLD_USERS, ITEMS, USERS
from training.parts import TEST, TRAIN, VALIDATION

NAMES = [protocol.name for protocol in PROTOCOLS]
CASES = [(one.name, content) for one in PROTOCOLS for content in one.contents]


def pairs(
    folder: Path, name: str = "interactions", part: str | None = None
) -> set[tuple[str, str]]:
    rows = pq.read_table(folder / f"{name}.parquet").to_pylist()
    return {(r["user_id"], r["item_id"]) for r in rows if part is None or r["split"] == part}


def names_of(case: Case) -> tuple[list[str], list[str]]:
    found = [sorted(path.name for path in one.iterdir()) for one in (case.train, case.test)]
    return found[0], found[1]


@pytest.mark.parametrize("name", NAMES)
def test_the_folder_that_selects_holds_no_row_that_tests(prepared: Path, name: str) -> None:
    case = case_of(prepared, name)
    tested = pairs(case.test, part="test")
    assert tested
    assert pairs(case.train, part="test") == set()
    assert pairs(case.train) == pairs(case.test, part="train")
    shared, every = names_of(case)
    assert set(shared) <= {"interactions.parquet", "users.parquet", "items.parquet", "cold.parquet"}
    assert set(shared) <= set(every)
    if name != "kuairand":  # where a video may be watched again
        assert not tested & pairs(case.train)


@pytest.mark.parametrize(("name", "content"), [one for one in CASES if one[0] != "kuairand"])
def test_validation_is_the_same_carve_of_train_in_both_folders(
    prepared: Path, name: str, content: str
) -> None:
    case = case_of(prepared, name, content)

    def parts(part: int) -> dict[int, set[tuple[str, str]]]:
        known = Known.of(case, part)
        rows, users, items = known.data.interactions, known.data.users.ids, known.data.items.ids
        return {
            one: {(users[rows.user[at]], items[rows.item[at]]) for at in known.split.rows(one)}
            for one in (TRAIN, VALIDATION, TEST)
        }

    selecting, testing = parts(VALIDATION), parts(TEST)
    assert selecting[TRAIN] == testing[TRAIN]
    assert selecting[VALIDATION] == testing[VALIDATION]
    assert selecting[VALIDATION]
    assert not selecting[TEST]
    assert testing[TEST]


@pytest.mark.parametrize("name", [one for one in NAMES if one != "kuairand"])
def test_every_slice_that_is_told_has_positives(prepared: Path, name: str) -> None:
    case = case_of(prepared, name)
    slices = Known.of(case, TEST).slices
    for place in case.protocol.slices:
        assert np.diff(slices.named(place).relevant.starts).any(), place


def test_kuairand_is_the_examples_own_preparation(prepared: Path) -> None:
    case = case_of(prepared, "kuairand")
    assert pairs(case.test, part="test") == {("1", "12")}
    assert ("1", "10") in pairs(case.train)
    assert "cold.parquet" in names_of(case)[0]


def test_a_tag_of_fewer_than_five_items_is_left_out(prepared: Path) -> None:
    items = pq.read_table(case_of(prepared, "citeulike_cold").train / "items.parquet").to_pylist()
    assert items[1]["tags"] == ["topic1"]  # and not the one that four items have
    assert items[1]["citations"] == ["5", "397"]


def test_candidates_of_the_cold_fold_are_its_cold_items(prepared: Path) -> None:
    found = Known.of(case_of(prepared, "citeulike_cold"), TEST).slices.named("cold_item")
    assert found.candidates.tolist() == list(range(COLD, ITEMS))


def test_aldi_masks_what_is_known_beside_the_part_that_is_measured(prepared: Path) -> None:
    case = case_of(prepared, "citeulike_aldi")
    known = Known.of(case, TEST)
    warm, cold = known.slices.named("warm"), known.slices.named("cold_item")
    assert warm.candidates.max() < COLD <= cold.candidates.min()
    tested = pairs(case.test, part="test")
    train = pairs(case.train)
    assert train < pairs(case.test, "warm_mask")
    measured = both(case)
    assert not pairs(case.test, "all_mask") & {p for p in tested if int(p[0]) in measured}
    # Cold test pairs are known when warm ones are measured, and validation always is.
    assert {p for p in tested if int(p[1]) >= COLD} <= pairs(case.test, "warm_mask")
    assert len(pairs(case.test, "warm_mask") & pairs(case.test, "cold_mask")) > len(train)


def both(case: Case) -> set[int]:
    """Return who has a warm and a cold test pair."""
    tested = [(int(u), int(i)) for u, i in pairs(case.test, part="test")]
    return {u for u, i in tested if i < COLD} & {u for u, i in tested if i >= COLD}


def test_aldi_measures_everything_on_users_of_both_kinds_alone(prepared: Path) -> None:
    case = case_of(prepared, "citeulike_aldi")
    known = Known.of(case, TEST)
    measured = np.flatnonzero(np.diff(known.slices.named("all").relevant.starts))
    assert {int(known.data.users.ids[one]) for one in measured} == both(case)
    warm = np.flatnonzero(np.diff(known.slices.named("warm").relevant.starts))
    assert set(measured) < set(warm)


def test_aldi_takes_the_first_users_in_the_order_of_a_set(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.quality.protocols.citeulike_aldi.MEASURED_USERS", 3)
    case = case_of(tmp_path, "citeulike_aldi")
    source = prepared.with_name(f"{prepared.name}.sources") / case.protocol.source
    case.protocol.tables(source).write(case.train, case.test)
    users = pq.read_table(case.test / "warm_users.parquet")["user_id"].to_pylist()
    tested = pq.read_table(source / "aldi_warm_test.parquet")["user_id"].to_pylist()
    assert users == [str(one) for one in list(set(tested))[:3]]


def test_movielens_leaves_out_what_the_user_rated_and_tells_who_is_cold(prepared: Path) -> None:
    known = Known.of(case_of(prepared, "movielens"), TEST)
    rows, warm = known.data.interactions, known.slices.named("warm").search
    train = np.isin(known.split.part, (TRAIN, VALIDATION))
    assert warm.masked is not None
    rated = rows.item[train & (rows.user == 3)]
    disliked = rows.item[train & (rows.user == 3) & (rows.label == 0)]
    assert len(disliked)
    assert warm.masked.of(3).tolist() == sorted(rated)
    assert set(warm.candidates) == set(rows.item[train])
    assert [known.data.users.ids[one] for one in np.flatnonzero(known.split.cold_users[TEST])] == [
        str(one) for one in range(COLD_USERS, USERS)
    ]
    assert np.flatnonzero(known.split.cold_items[TEST]).tolist() == list(range(COLD, ITEMS))
