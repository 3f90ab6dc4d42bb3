"""What all kinds of negatives promise, and what each one draws."""

from pathlib import Path
from typing import Any, get_args

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from export.contract.errors import ConfigError, DataError
from tests.training.negatives.made import ITEMS, TRAINED, made_shown
from training.negatives import Given, Hard, InBatch, Mixed, NegativeConfig, Roll
from training.negatives.base import Drawn, NegativeKind, Shown

MEMBERS = get_args(get_args(NegativeConfig)[0])
NEEDED: dict[str, dict[str, Any]] = {"given": {"file": "pairs.parquet"}}
every_kind = pytest.mark.parametrize("member", MEMBERS, ids=lambda one: one.__name__)


def pairs(folder: Path, user: list[str], item: list[str]) -> None:
    pq.write_table(pa.table({"user_id": user, "item_id": item}), folder / "pairs.parquet")


@pytest.fixture
def shown(tmp_path: Path) -> Shown:
    """A log, and a file that lists every item for every user, those held out among them."""
    found = made_shown(tmp_path)
    users = [one for one in found.user_ids for _ in found.item_ids]
    pairs(tmp_path, users, [*found.item_ids] * len(found.user_ids))
    return found


def draw(member: type[NegativeKind], shown: Shown, size: int = 8, seed: int = 0) -> Drawn:
    kind = member.model_fields["kind"].default
    source = member(**NEEDED.get(kind, {})).source(shown)
    return source.draw(np.arange(size), np.random.default_rng(seed))


@every_kind
@pytest.mark.parametrize("size", [1, 2, 8])
def test_what_is_drawn_has_the_shape_of_the_batch(
    member: type[NegativeKind], shown: Shown, size: int
) -> None:
    found = draw(member, shown, size)
    assert found.batch.shape == (size, size)
    assert found.further.shape == found.chance.shape == (size, len(found.rows))
    assert found.batch.any() or found.further.any() or size == 1


@every_kind
def test_equal_seeds_draw_the_same(member: type[NegativeKind], shown: Shown) -> None:
    one, other = draw(member, shown, seed=4), draw(member, shown, seed=4)
    assert (one.batch == other.batch).all()
    assert (one.rows == other.rows).all()
    assert (one.further == other.further).all()


@every_kind
def test_an_item_held_out_of_training_is_never_drawn(
    member: type[NegativeKind], shown: Shown
) -> None:
    for seed in range(50):
        found = draw(member, shown, seed=seed)
        assert (shown.item[found.rows] < TRAINED).all()


@every_kind
def test_laws_are_chances_of_items_that_can_be_drawn(
    member: type[NegativeKind], shown: Shown
) -> None:
    law = member(**NEEDED.get(member.model_fields["kind"].default, {})).source(shown).law
    assert law.shape == (ITEMS,)
    assert law.sum() == pytest.approx(1) or not law.any()
    assert not law[TRAINED:].any()


@every_kind
def test_a_wrong_option_is_named(member: type[NegativeKind]) -> None:
    with pytest.raises(ValidationError, match="m"):
        member.model_validate({"m": 4})


def test_a_roll_moves_all_rows_by_the_same_distinct_shifts(shown: Shown) -> None:
    size, shifts = 8, set()
    for seed in range(30):
        batch = Roll(n=3).source(shown).draw(np.arange(size), np.random.default_rng(seed)).batch
        found = [{(row - one) % size for one in np.flatnonzero(batch[row])} for row in range(size)]
        assert all(one == found[0] for one in found)
        assert len(found[0]) == 3
        shifts |= found[0]
    assert shifts == set(range(1, size))


@pytest.mark.parametrize(("size", "shifts"), [(1, 0), (2, 1), (4, 3), (5, 4), (9, 4)])
def test_a_short_batch_has_fewer_shifts(shown: Shown, size: int, shifts: int) -> None:
    found = Roll(n=4).source(shown).draw(np.arange(size), np.random.default_rng(0))
    assert found.batch.sum() == size * shifts
    assert found.draws == shifts
    assert not found.batch.diagonal().any()


def test_in_batch_holds_every_row_against_every_row(shown: Shown) -> None:
    found = draw(InBatch, shown)
    assert found.batch.all()
    assert found.draws == 8


def test_mixed_draws_each_item_alike_and_as_it_was_when_it_was_shown(shown: Shown) -> None:
    counts, rows = np.zeros(ITEMS), set()
    source = Mixed(n=5).source(shown)
    for seed in range(600):
        found = source.draw(np.arange(2), np.random.default_rng(seed))
        items = shown.item[found.rows]
        assert len(set(items)) == 5
        counts[items] += 1
        rows |= set(found.rows.tolist())
    trainable = len(set(shown.item))
    assert counts[np.unique(shown.item)] == pytest.approx(600 * 5 / trainable, rel=0.2)
    assert rows == set(range(len(shown.item)))


def test_mixed_draws_no_more_than_there_is(shown: Shown) -> None:
    found = draw(Mixed, shown)
    assert len(found.rows) == found.draws == len(set(shown.item))


def test_hard_negatives_were_shown_to_the_same_user_and_never_clicked(shown: Shown) -> None:
    found = draw(Hard, shown)
    assert found.further.any()
    for row, column in zip(*np.nonzero(found.further), strict=True):
        drawn = found.rows[column]
        assert shown.user[drawn] == shown.user[row]
        assert not shown.is_positive[drawn]
        assert shown.item[drawn] not in shown.liked.of(shown.user[row])


def test_each_row_has_up_to_n_hard_negatives_and_all_get_their_turn(shown: Shown) -> None:
    for n in (1, 3, 99):
        seen: dict[int, set[int]] = {}
        for seed in range(60):
            found = Hard(n=n).source(shown).draw(np.arange(8), np.random.default_rng(seed))
            for row in range(8):
                own = shown.item[found.rows[found.further[row]]].tolist()
                assert len(own) == len(set(own)) <= n
                seen.setdefault(row, set()).update(own)
        for row in range(8):
            user = shown.user[row]
            ignored = set(shown.item[(shown.user == user) & ~shown.is_positive].tolist())
            assert seen[row] == ignored - set(shown.liked.of(user).tolist())


def test_rows_not_clicked_draw_no_list(shown: Shown) -> None:
    rows = np.arange(len(shown.item))
    found = Hard().source(shown).draw(rows, np.random.default_rng(0))
    assert found.further[shown.is_positive].any()
    assert not found.further[~shown.is_positive].any()


def test_hard_negatives_need_something_that_was_not_clicked() -> None:
    with pytest.raises(ConfigError, match=r"negatives\.hard: no train row .* not clicked"):
        Hard().source(made_shown(learned=60))


def test_given_negatives_are_those_of_the_users_pairs(shown: Shown) -> None:
    user = shown.user[0]
    others = {f"u{one}" for one in shown.user[:8]} - {f"u{user}"}
    pairs(shown.folder, [f"u{user}", f"u{user}", others.pop()], ["i1", "i2", "i0"])
    found = draw(Given, shown)
    assert set(shown.item[found.rows[found.further[0]]]) == {1, 2}
    assert (shown.item[found.rows[found.further[shown.user[:8] != user].any(0)]] == 0).all()


def test_a_chance_is_the_share_of_times_a_row_draws_a_candidate(shown: Shown) -> None:
    pairs(
        shown.folder, ["u0"] * 3 + [f"u{n}" for n in range(1, 6)], ["i0", "i1", "i2"] + ["i3"] * 5
    )
    row = int(np.flatnonzero(shown.user[: shown.learned] == 0)[0])
    source, drawn = Given(file="pairs.parquet", n=2).source(shown), np.zeros(ITEMS)
    for seed in range(600):
        found = source.draw(np.array([row]), np.random.default_rng(seed))
        assert found.chance[0] == pytest.approx(2 / 3)
        drawn[shown.item[found.rows[found.further[0]]]] += 1
    assert drawn[:3] / 600 == pytest.approx(2 / 3, abs=0.06)


def test_a_pair_whose_item_is_held_out_is_passed_over(shown: Shown) -> None:
    user = f"u{shown.user[0]}"
    pairs(shown.folder, [user, user], ["i3", f"i{TRAINED}"])
    assert set(shown.item[draw(Given, shown).rows]) == {3}
    pairs(shown.folder, [user], [f"i{TRAINED}"])
    with pytest.raises(DataError, match="none of its 1 pairs has an item with a train row"):
        draw(Given, shown)


@pytest.mark.parametrize(
    ("user", "item", "message"),
    [
        ("u0", "i99", "column 'item_id', row 1: got 'i99', expected an id that the table of items"),
        ("u99", "i0", "column 'user_id', row 1: got 'u99', expected an id that the table of users"),
    ],
)
def test_an_unknown_id_in_a_file_is_named(shown: Shown, user: str, item: str, message: str) -> None:
    pairs(shown.folder, [user], [item])
    with pytest.raises(DataError, match=message):
        draw(Given, shown)


def test_a_file_that_is_not_there_is_named(shown: Shown) -> None:
    with pytest.raises(DataError, match=r"none\.csv: no such file"):
        Given(file="none.csv").source(shown)
