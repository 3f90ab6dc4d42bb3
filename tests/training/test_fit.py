from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from export.contract.errors import ConfigError, DataError, RecordError
from export.contract.features import FIRST_WORD_ROW
from export.contract.schema import Schema
from export.contract.side import Record
from export.contract.tables import RecordTable
from tests.training.conftest import world_config
from tests.training.tables import write
from training.config import parse_config
from training.data import Data, read_data
from training.fit import fit_schema
from training.prepare import Prepared, log_of, make_encoders, prepare
from training.split import TRAIN, make_split

GARBAGE: Record = {
    "region": "nowhere",
    "age": 1e6,
    "maker": "nobody",
    "length_s": 1e6,
    "tags": ["junk"] * 9,
}


@pytest.fixture(scope="module", params=["with time", "without"])
def prepared(world: Path, request: pytest.FixtureRequest) -> Prepared:
    raw = world_config(world)
    if request.param == "with time":
        return prepare(parse_config(raw, world / "train.yaml"))
    del raw["item"]["preference"]["clicks_7d"]  # a window needs a timestamp
    config = parse_config(raw, world / "train.yaml")
    data = read_data(config.data, config.user, config.item)
    data = replace(data, interactions=replace(data.interactions, timestamp=None, order=None))
    split = make_split(config.split, data, config.data.folder)
    log = log_of(data, split, (TRAIN,))
    return Prepared(config, data, split, log, fit_schema(config, data, log))


def refit(prepared: Prepared, data: Data) -> Schema:
    log = log_of(data, prepared.split, (TRAIN,))
    return fit_schema(prepared.config, data, log)


def with_garbage(table: RecordTable, seen: np.ndarray) -> RecordTable:
    """Replace what is said of everyone who has no train row."""
    records = deepcopy(table.records)
    for position in set(range(len(table))) - set(seen.tolist()):
        records[position] = {name: GARBAGE[name] for name in records[position]}
    return replace(table, records=records)


@pytest.mark.parametrize("seed", range(3))
def test_nothing_outside_of_train_changes_the_schema(prepared: Prepared, seed: int) -> None:
    rng = np.random.default_rng(seed)
    data, train = prepared.data, prepared.log.is_train
    rows, other = data.interactions, ~train

    def shuffled(column: np.ndarray) -> np.ndarray:
        changed = column.copy()
        changed[other] = rng.permutation(column[other])
        return changed

    tab = rows.carried["user"]["tab"]
    strange = replace(
        tab, code=np.where(other, len(tab.values), tab.code), values=[*tab.values, "strange"]
    )
    changed = replace(
        rows,
        user=shuffled(rows.user),
        item=shuffled(rows.item),
        label=np.where(other, 1 - rows.label, rows.label),
        timestamp=None if rows.timestamp is None else shuffled(rows.timestamp) + other * 1e6,
        carried={"user": {"tab": strange}, "item": {}},
    )
    users = with_garbage(data.users, rows.user[train])
    items = with_garbage(data.items, rows.item[train])
    assert users.records != data.users.records
    assert items.records != data.items.records
    assert refit(prepared, replace(data, interactions=changed, users=users, items=items)) == (
        prepared.schema
    )


def test_what_is_in_train_does_change_the_schema(prepared: Prepared) -> None:
    data = prepared.data
    items = replace(
        data.items, records=[record | {"length_s": 7.0} for record in data.items.records]
    )
    assert refit(prepared, replace(data, items=items)) != prepared.schema
    rows = data.interactions
    flipped = replace(rows, label=(1 - rows.label).astype(np.int8))
    assert refit(prepared, replace(data, interactions=flipped)) != prepared.schema


def test_the_rule_of_each_side_is_written_down(prepared: Prepared) -> None:
    timed = prepared.data.interactions.timestamp is not None
    kinds = {"user": "point_in_time by order", "item": "point_in_time by timestamp"}
    for side, rule in prepared.schema.rules.items():
        assert rule.startswith(f"{side}: {kinds[side] if timed else 'out_of_fold, 5 folds'}")


def test_a_smoothed_rate_learns_its_prior_from_train(prepared: Prepared) -> None:
    rate: Any = prepared.schema.user.preference["click_rate"].statistic
    train = prepared.log.is_train
    assert rate.prior == pytest.approx(prepared.data.interactions.label[train].mean())


def small(folder: Path, **changes: Any) -> Prepared:
    """Fit five users and four items of one train row each, and one test row."""
    tables: dict[str, Any] = {
        "users": {
            "user_id": [f"u{n}" for n in range(6)],
            "city": ["x", "x", "y", "y", "y", "z"],
            "age": [10.0, 20.0, 30.0, None, 40.0, 1e6],
        },
        "items": {
            "item_id": ["i0", "i1", "i2", "i3"],
            "city": ["y", "w", "w", "z"],
            "words": [["a", "b"], ["b"], ["c"], ["d", "d"]],
        },
        "interactions": {
            "user_id": ["u0", "u1", "u2", "u3", "u4", "u5"],
            "item_id": ["i0", "i0", "i1", "i1", "i2", "i3"],
            "split": ["train"] * 4 + ["validation", "test"],
            "label": [1, 1, 1, 0, 1, 1],
            "tab": ["1", "1", "2", "3", "2", "3"],
        },
    }
    raw: dict[str, Any] = {
        "user": {
            "content": {"city": {"kind": "category", "table": "city", "min_count": 1}},
            "context": {"tab": {"kind": "category", "min_count": 1}},
        },
        "item": {"content": {"words": {"kind": "tags", "min_count": 1}}},
        "split": {"kind": "given"},
        "tower": {"kind": "additive", "dim": 4},
        "losses": [{"kind": "in_batch_softmax"}],
        "negatives": [{"kind": "in_batch"}],
    } | changes
    config = write(folder, **tables)
    return prepare(parse_config(raw | {"data": {"folder": str(config.folder)}}, folder / "t.yaml"))


def test_the_most_frequent_word_comes_first_and_equal_ones_by_their_text(tmp_path: Path) -> None:
    tables = small(tmp_path).schema.tables
    assert tables["item.words"] == ("b", "a")
    assert tables["city"] == ("x", "y")


def test_context_is_counted_by_row(tmp_path: Path) -> None:
    assert small(tmp_path).schema.tables["user.tab"] == ("1", "2", "3")


def test_words_seen_too_seldom_are_left_out(tmp_path: Path) -> None:
    item = {"content": {"words": {"kind": "tags", "min_count": 2}}}
    assert small(tmp_path, item=item).schema.tables["item.words"] == ("b",)


def test_features_that_name_one_table_share_its_words(tmp_path: Path) -> None:
    item = {"content": {"city": {"kind": "category", "table": "city", "min_count": 3}}}
    schema = small(tmp_path, item=item).schema
    # the entities with a train row: users x x y y, items y w; the smaller min_count holds
    assert schema.tables["city"] == ("y", "x", "w")
    assert schema.words("user")["city"] == schema.words("item")["city"]


def test_histories_know_the_items_clicked_in_train(tmp_path: Path) -> None:
    user = {
        "preference": {
            "recent": {"kind": "sequence", "aggregate": "last", "table": "item", "min_count": 1}
        }
    }
    assert small(tmp_path, user=user).schema.tables["item"] == ("i0", "i1")


def test_an_identity_knows_the_entities_clicked_in_train(tmp_path: Path) -> None:
    user = {"preference": {"me": {"kind": "category", "aggregate": "identity", "min_count": 1}}}
    assert small(tmp_path, user=user).schema.tables["user.me"] == ("u0", "u1", "u2")


def test_what_is_made_of_a_feature_adds_nothing_to_its_words(tmp_path: Path) -> None:
    words = {"kind": "tags", "table": "word", "min_count": 2}
    user = {
        "preference": {
            "recent": {"kind": "sequence", "aggregate": "last", "table": "item", "min_count": 2},
            "taste": words | {"aggregate": "profile", "of": "words"},
        }
    }
    item = {
        "content": {"words": words},
        "preference": {
            "own": {"kind": "category", "aggregate": "identity", "table": "item", "min_count": 2}
        },
    }
    tables = small(tmp_path, user=user, item=item).schema.tables
    assert tables["word"] == ("b",)  # a stands in one item, b in two
    assert tables["item"] == ("i0",)  # clicked twice, i1 once


def test_a_number_is_scaled_by_the_entities_of_train(tmp_path: Path) -> None:
    user = {"content": {"age": {"kind": "number"}}}
    age: Any = small(tmp_path, user=user).schema.user.content["age"]
    assert age.mean == pytest.approx(20.0)
    assert age.scale == pytest.approx(np.std([10.0, 20.0, 30.0]))


def test_given_words_are_read_from_the_data_folder_whatever_the_data_holds(tmp_path: Path) -> None:
    (tmp_path / "cities.txt").write_text("z\nx\nmoon\n", encoding="utf-8")
    given = {"kind": "category", "vocabulary": "given", "words_from": "cities.txt"}
    user = {"content": {"city": given}}
    assert small(tmp_path, user=user).schema.tables["user.city"] == ("z", "x", "moon")
    (tmp_path / "cities.txt").unlink()
    with pytest.raises(DataError, match=r"cities\.txt: no such file, and user\.content\.city"):
        small(tmp_path, user=user)


def test_pairs_are_counted_by_row_where_the_interactions_carry_a_part(tmp_path: Path) -> None:
    cross = {"kind": "cross", "min_count": 1}
    user = {
        "content": {"city": {"kind": "category"}},
        "context": {
            "tab": {"kind": "category", "min_count": 1},
            "tab_city": {**cross, "of": ["tab", "city"]},
        },
    }
    schema = small(tmp_path, user=user).schema
    # train rows: (1, x), (1, x), (2, y), (3, y)
    assert schema.tables["user.tab_city"] == ("1\x1fx", "2\x1fy", "3\x1fy")


def test_pairs_of_a_record_are_counted_by_entity(tmp_path: Path) -> None:
    item = {
        "content": {
            "city": {"kind": "category"},
            "again": {"kind": "category", "vocabulary": "hashed", "buckets": 1},
            "pair": {"kind": "cross", "of": ["again", "city"], "min_count": 1},
        }
    }
    copied = {"item_id": ["i0", "i1", "i2", "i3"], "city": list("ywwz"), "again": list("ywwz")}
    prepared = small(tmp_path)
    write(tmp_path, items=copied)
    raw = prepared.config.model_dump(mode="json", exclude_none=True)
    schema = prepare(parse_config(raw | {"item": item}, tmp_path / "t.yaml")).schema
    assert schema.tables["item.pair"] == ("0\x1fw", "0\x1fy")  # i0 and i1 stand in train


def test_a_hashed_vocabulary_has_no_list(tmp_path: Path) -> None:
    hashed = {"kind": "category", "vocabulary": "hashed", "buckets": 5}
    schema = small(tmp_path, user={"content": {"city": hashed}}).schema
    assert "user.city" not in schema.tables
    assert schema.rows("user.city") == FIRST_WORD_ROW + 5


def with_photos(folder: Path, photos: list[list[float] | None]) -> Prepared:
    prepared = small(folder)
    write(folder, items={"item_id": ["i0", "i1", "i2", "i3"], "photo": photos})
    raw = prepared.config.model_dump(mode="json", exclude_none=True)
    item = {"content": {"photo": {"kind": "vector"}}}
    return prepare(parse_config(raw | {"item": item}, folder / "t.yaml"))


def test_a_vector_has_the_length_of_those_in_train(tmp_path: Path) -> None:
    photos: list[list[float] | None] = [[1.0, 2.0], None, [3.0, 4.0], [5.0, 6.0]]
    feature: Any = with_photos(tmp_path, photos).schema.item.content["photo"]
    assert feature.size == 2


def test_vectors_of_several_lengths_name_the_feature_and_both(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"item\.photo: .* got some of 1 and of 2"):
        with_photos(tmp_path, [[1.0, 2.0], [1.0], None, None])
    outside = with_photos(tmp_path, [[1.0, 2.0], None, None, [1.0]])  # i3 stands in test only
    with pytest.raises(RecordError, match=r"feature 'photo': .* of 2 finite .* this has 1"):
        make_encoders(outside)


def test_a_vector_that_train_never_shows_has_to_be_given_its_length(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"item\.photo: expected vectors .* or `size`"):
        with_photos(tmp_path, [None, None, None, [1.0]])


COPIES = {"content": {"copy": {"kind": "category"}}}


def with_copied_id(folder: Path, **changes: Any) -> Prepared:
    prepared = small(folder)
    users = {
        "user_id": [f"u{n}" for n in range(6)],
        "copy": [f"u{n}" for n in range(5)] + ["new"],
        "city": list("xxyyyz"),
    }
    write(folder, users=users)
    raw = prepared.config.model_dump(mode="json", exclude_none=True)
    return prepare(parse_config(raw | {"user": COPIES} | changes, folder / "t.yaml"))


def test_an_own_id_in_content_is_refused_whatever_its_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"user\.content\.copy: holds the user's own id"):
        with_copied_id(tmp_path)


def test_an_own_id_in_content_may_be_allowed(tmp_path: Path) -> None:
    prepared = with_copied_id(tmp_path, allow_id=True)
    assert "user.copy" in prepared.schema.tables


def test_a_given_own_id_in_preference_is_no_fault(tmp_path: Path) -> None:
    prepared = with_copied_id(tmp_path, user={"preference": COPIES["content"]})
    assert "user.copy" in prepared.schema.tables
