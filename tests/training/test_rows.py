from collections import Counter
from collections.abc import Iterable
from mmap import mmap
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from export.contract.features import MISSING_ROW, PADDING_ROW, Raw
from export.contract.side import Arrays, Side, SideName
from export.contract.statistics import Events, Lookup, Statistic, Total
from tests.training.conftest import world_config
from training import interactions
from training.config import parse_config
from training.prepare import Prepared, log_of, make_batches, make_encoders, prepare
from training.ragged import Ragged
from training.rows import RowEncoder
from training.side_rows import SideRows
from training.split import TRAIN, VALIDATION
from training.statistics import parts, rule_for

SIDES: tuple[SideName, ...] = ("user", "item")
MOODS = np.array(["calm", "glad", None], dtype=object)


@pytest.fixture(scope="module")
def prepared(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """Fit the world, with given preference beside the declared: `mood`, `liked`, `score`."""
    folder = tmp_path_factory.mktemp("rich")
    rng = np.random.default_rng(5)
    tables = {name: pq.read_table(world / f"{name}.parquet") for name in ("users", "items", "cold")}
    rows = pq.read_table(world / "interactions.parquet")
    rows = rows.take(pa.array(rng.permutation(len(rows))))  # a table need not go by time
    drawn = rng.integers(0, 40, len(rows))
    liked = [None if n < 5 else [f"i{k:04}" for k in range(n % 4)] for n in drawn.tolist()]
    rows = rows.append_column("mood", pa.array(rng.choice(MOODS, len(rows)), pa.string()))
    seconds = pa.array(rng.exponential(9, len(rows)), pa.float64(), mask=drawn < 8)
    rows = rows.append_column("seconds", seconds)
    rows = rows.append_column("liked", pa.array(liked, pa.list_(pa.string())))
    users, items = tables["users"], tables["items"]
    moods = pa.array(["tired", None] * (len(users) // 2), pa.string())
    tables["users"] = users.append_column("mood", moods)
    score = pa.array(np.arange(len(items)) / 7, pa.float64(), mask=np.arange(len(items)) % 3 == 0)
    tables["items"] = items.append_column("score", score)
    for name, table in (tables | {"interactions": rows}).items():
        pq.write_table(table, folder / f"{name}.parquet")
    vectors = rng.standard_normal((len(items), 3)).astype(np.float32)
    looks = pa.table({"item_id": items.column("item_id"), "vector": list(vectors)})
    pq.write_table(looks.slice(len(items) // 3), folder / "looks.parquet")
    fans = pa.table(
        {
            "user_id": users.column("user_id"),
            "vector": [[n, -n] for n in drawn[: len(users)].tolist()],
        }
    )
    pq.write_table(fans.slice(len(users) // 3), folder / "fans.parquet")
    raw = world_config(folder)
    raw["user"]["content"]["region_rate"] = {"kind": "number", "aggregate": "rate", "by": "region"}
    raw["item"]["content"] |= {
        "maker_rate": {"kind": "number", "aggregate": "rate", "by": "maker", "smoothing": 5},
        "maker_shown": {"kind": "number", "aggregate": "count", "by": "maker", "buckets": 3},
    }
    raw["user"]["context"]["tab_region"] = {"kind": "cross", "of": ["tab", "region"]}
    raw["user"]["preference"] |= {
        "seen": {"kind": "number", "aggregate": "count"},
        "looks": {"kind": "vector", "aggregate": "item_vectors", "vectors": "looks.parquet"}
        | {"n": 4, "normalise": True},
        "watched": {"kind": "number", "aggregate": "mean", "of": "seconds", "smoothing": 2},
        "makers_met": {"kind": "number", "aggregate": "distinct", "of": "maker", "window": "2d"},
        "mood_region": {"kind": "cross", "of": ["mood", "region"], "min_count": 1},
        "region_mood": {
            "kind": "cross",
            "of": ["region", "mood"],
            "vocabulary": "hashed",
            "buckets": 9,
        },
        "mood": {"kind": "category", "min_count": 1},
        "liked": {"kind": "sequence", "max_length": 2, "table": "item"},
        "shown_1d": {"kind": "number", "aggregate": "count", "window": "1d"},
        "met": {"kind": "number", "aggregate": "count", "where": {"tab": "feed"}, "buckets": 3},
    }
    raw["user"]["preference"]["recent"] |= {"n": 12, "max_length": 5}
    raw["user"]["preference"]["taste"] |= {"words": 6, "max_length": 4}
    raw["item"]["preference"] |= {
        "score": {"kind": "number"},
        "viewers": {"kind": "sequence", "aggregate": "last", "n": 4},
        "fans": {"kind": "vector", "aggregate": "user_vectors", "vectors": "fans.parquet", "n": 3},
    }
    raw["user"]["present_when"] = "interactions >= 9"
    raw["item"]["present_when"] = "interactions >= 11"
    return prepare(parse_config(raw, folder / "train.yaml"))


@pytest.fixture(scope="module")
def encoders(prepared: Prepared) -> dict[SideName, RowEncoder]:
    return {s: RowEncoder(prepared.schema, s, prepared.data, prepared.log) for s in SIDES}


def bag(rows: Iterable[int], weights: Iterable[float] | None) -> list[tuple[int, float]]:
    rows = list(rows)
    weights = [1.0] * len(rows) if weights is None else list(weights)
    return [(int(r), float(w)) for r, w in zip(rows, weights, strict=True) if r != PADDING_ROW]


def assert_same(side: Side, found: Arrays, wanted: Arrays) -> None:
    """Compare encoded arrays: rows exactly, values as float32, bags as bags with weights."""
    for form in ("ids", "values"):
        if form in wanted:
            np.testing.assert_allclose(found[form], wanted[form], rtol=1e-6, atol=1e-6)
            assert found[form].dtype == wanted[form].dtype
    for name in side.vectors:
        np.testing.assert_array_equal(found[name], wanted[name])
    for name in side.bags:
        weights = f"{name}.weights"
        for row in range(len(wanted[name])):
            one, other = (
                bag(a[name][row], a[weights][row] if weights in a else None)
                for a in (found, wanted)
            )
            if name in ("recent", "liked", "viewers"):
                assert one == other, name
            else:
                assert Counter(one) == Counter(other), name


def folded(prepared: Prepared, side: SideName, statistic: Statistic, row: int) -> Raw:
    """Fold the statistic of one train row from the events of its entity, as a service does."""
    log, data = prepared.log, prepared.data
    entity, others = log.ids(side)[row], log.others(side)
    own = np.flatnonzero(log.is_train & (log.ids(side) == entity))
    if isinstance(statistic, Total) and statistic.by is not None:
        table = data.users if side == "user" else data.items
        concept = np.array([record.get(statistic.by) for record in table.records], dtype=object)
        if concept[entity] is None:
            return None
        fellows = (concept == concept[entity]) & (np.arange(len(concept)) != entity)
        own = np.flatnonzero(log.is_train & fellows[log.ids(side)])
    clock = rule_for(log, side, statistic).clock
    assert clock is not None
    names = {"user": data.users.ids, "item": data.items.ids}
    other_ids = np.array(names["item" if side == "user" else "user"], dtype=object)
    events = Events(
        other=other_ids[others[own]],
        label=log.label[own].astype(np.float64),
        time=log.moments(clock)[own].astype(np.float64),
        columns={name: column[own] for name, column in log.columns.items()},
        entity=names[side][entity],
    )
    of = getattr(statistic, "of", "")
    words: dict[str, Any] = {
        one: record.get(of) for one, record in zip(names["item"], data.items.records, strict=True)
    }
    listed = {one: [w] if isinstance(w, str) else (w or []) for one, w in words.items()}
    now = float(log.moments(clock)[row])
    items: Lookup | None = listed.get if of else None
    if statistic.vectors_of is not None:
        vectors = data.vectors[statistic.vectors_of]
        items = {
            one: v[~np.isnan(v)].tolist() for one, v in zip(other_ids, vectors, strict=True)
        }.get
    return statistic.fold(events, now, items=items, exclude=other_ids[others[row]])


def record_of(prepared: Prepared, side_name: SideName, row: int) -> dict[str, Raw]:
    """Return what a service would hold when this row happened."""
    data, side = prepared.data, prepared.schema.side(side_name)
    table = data.users if side_name == "user" else data.items
    record = dict(table.records[prepared.log.ids(side_name)[row]])
    carried = data.interactions.carried[side_name]
    for name, feature in side.features.items():
        if feature.statistic is not None:
            record[name] = folded(prepared, side_name, feature.statistic, row)
        elif name in carried:
            record[name] = carried[name].at(np.array([row]))[0]
    return {name: value for name, value in record.items() if value is not None}


@pytest.mark.parametrize("side_name", SIDES)
def test_a_training_row_is_what_a_service_would_have_encoded_then(
    prepared: Prepared, encoders: dict[SideName, RowEncoder], side_name: SideName
) -> None:
    side, encoder = prepared.schema.side(side_name), encoders[side_name].encoder
    rows = np.random.default_rng(2).choice(np.flatnonzero(prepared.log.is_train), 250, False)
    found = encoders[side_name].rows(rows)
    present = []
    for place, row in enumerate(rows):
        record = record_of(prepared, side_name, row)
        present.append(side.has_preference(record))
        assert_same(side, found.batch(np.array([place])), encoder.encode([record]))
    assert found.present.tolist() == present
    assert found.batch(np.arange(len(rows)))["present"].tolist() == [[one] for one in present]


@pytest.mark.parametrize(("side_name", "counter"), [("user", "seen"), ("item", "shown")])
def test_preference_counts_from_the_interactions_asked_for(
    prepared: Prepared, encoders: dict[SideName, RowEncoder], side_name: SideName, counter: str
) -> None:
    side, log = prepared.schema.side(side_name), prepared.log
    bare = side.model_copy(update={"present_when": None})
    train = np.flatnonzero(log.is_train)
    rows = RowEncoder(
        prepared.schema.model_copy(update={side_name: bare}), side_name, prepared.data, log
    )
    asked, given = encoders[side_name].rows(train).present, rows.rows(train).present
    moments = log.moments("order" if side_name == "user" else "timestamp")
    for at in range(0, len(train), 37):
        own = log.is_train & (log.ids(side_name) == log.ids(side_name)[train[at]])
        met = int((own & (moments < moments[train[at]])).sum())
        assert asked[at] == (given[at] and not 0 < met < side.least)
    assert side.counter == counter
    assert 0 < (given & ~asked).sum() < given.sum()
    records = rows.raw_records()
    most = max(float(str(record.get(counter, 0.0))) for record in records)
    strict = bare.model_copy(update={"present_when": f"interactions >= {most:.0f}"})
    only = RowEncoder(
        prepared.schema.model_copy(update={side_name: strict}), side_name, prepared.data, log
    )
    assert only.entities().present.tolist() == [
        one.get(counter, most) == most and bare.has_preference(one) for one in records
    ]


def test_the_rows_compared_have_a_past(
    prepared: Prepared, encoders: dict[SideName, RowEncoder]
) -> None:
    assert all("point_in_time" in rule for rule in prepared.schema.rules.values())
    found = encoders["user"].rows(np.flatnonzero(prepared.log.is_train))
    lengths = found.batch(np.arange(len(found)))["recent"]
    assert lengths.shape[1] == 5, "cut to max_length"
    assert (lengths > MISSING_ROW).sum() > len(found)


@pytest.mark.parametrize("side_name", SIDES)
def test_entities_are_their_raw_records_encoded(
    prepared: Prepared, encoders: dict[SideName, RowEncoder], side_name: SideName
) -> None:
    side, encoder = prepared.schema.side(side_name), encoders[side_name]
    records = encoder.raw_records()
    found = encoder.entities()
    assert_same(side, found.batch(np.arange(len(found))), encoder.encoder.encode(records))
    assert found.present.tolist() == [side.has_preference(record) for record in records]
    assert found.present.any()
    assert not found.present.all(), "some are cold"


@pytest.mark.parametrize("side_name", SIDES)
def test_entity_without_rows_has_the_value_of_its_concept(
    encoders: dict[SideName, RowEncoder], side_name: SideName
) -> None:
    """So what the bundle tells a new entity is what a cold one of the tables was given."""
    encoder = encoders[side_name]
    records, told = encoder.raw_records(), encoder.concept_values()
    met = set(encoder.log.ids(side_name)[encoder.log.is_train].tolist())
    cold = [record for at, record in enumerate(records) if at not in met]
    assert told.keys() == encoder.side.concepts.keys()
    for name, by in encoder.side.concepts.items():
        values = [told[name].get(str(record.get(by))) for record in cold]
        assert [record.get(name) for record in cold] == values
        assert any(value is not None for value in values)


@pytest.mark.parametrize("side_name", SIDES)
def test_a_row_outside_train_sees_all_of_train(
    prepared: Prepared, encoders: dict[SideName, RowEncoder], side_name: SideName
) -> None:
    side, encoder = prepared.schema.side(side_name), encoders[side_name]
    declared = [name for name, f in side.features.items() if f.statistic and f.form != "bag"]
    rows = np.flatnonzero(prepared.split.part == VALIDATION)
    moved, still = encoder.rows(rows), encoder.entities()
    entity = moved.entity
    for form in ("ids", "values"):
        for column, name in enumerate(getattr(side, form)):
            if name in declared:
                now = moved.batch(np.arange(len(rows)))[form][:, column]
                end = still.batch(entity)[form][:, column]
                np.testing.assert_allclose(now, end, rtol=1e-6)


def test_users_are_told_by_the_vectors_of_what_they_met(
    prepared: Prepared, encoders: dict[SideName, RowEncoder]
) -> None:
    found = encoders["user"].entities()
    looks = found.batch(np.arange(len(found)))["looks"]
    known = np.asarray(~np.isnan(looks).any(axis=1))
    assert 0 < known.sum() < len(known)
    np.testing.assert_allclose(np.linalg.norm(looks[known], axis=1), 1, rtol=1e-5)
    assert prepared.schema.user.inputs[-2].shape == ("batch", 3)


def test_an_items_fans_are_the_mean_of_the_newest_users_that_have_a_vector(
    prepared: Prepared, encoders: dict[SideName, RowEncoder]
) -> None:
    rows, log = np.flatnonzero(prepared.log.is_train), prepared.log
    assert log.time is not None
    found = encoders["item"].entities().batch(np.arange(len(prepared.data.items.ids)))["fans"]
    vectors = prepared.data.vectors["fans.parquet"]
    clicked = rows[log.label[rows] == 1]
    checked = 0
    for item in np.unique(log.item[clicked])[:20]:
        own = clicked[log.item[clicked] == item]
        newest = own[np.argsort(log.time[own], kind="stable")][-3:]
        if len(np.unique(log.time[own])) < len(own):
            continue  # rows of one time come in an order of their own
        seen = vectors[log.user[newest]]
        if np.isnan(seen).all():
            continue
        np.testing.assert_allclose(found[item], np.nanmean(seen, axis=0), rtol=1e-5)
        checked += 1
    assert checked > 5


def test_statistics_of_test_time_read_validation_too(prepared: Prepared) -> None:
    data, split = prepared.data, prepared.split
    later = log_of(data, split, (TRAIN, VALIDATION))
    early, late = (
        RowEncoder(prepared.schema, "item", data, log).raw_statistic("shown")
        for log in (prepared.log, later)
    )
    assert sum(v for v in early if isinstance(v, float)) == (split.part == TRAIN).sum()
    assert (
        sum(v for v in late if isinstance(v, float))
        == ((split.part == TRAIN) | (split.part == VALIDATION)).sum()
    )


def test_preference_carried_on_the_row_wins_over_the_users_table(
    prepared: Prepared, encoders: dict[SideName, RowEncoder]
) -> None:
    train = np.flatnonzero(prepared.log.is_train)
    column = prepared.schema.user.ids.index("mood")
    words = prepared.schema.tables["user.mood"]
    assert "tired" not in words
    found = encoders["user"].rows(train).batch(np.arange(len(train)))["ids"][:, column]
    moods = prepared.data.interactions.columns["mood"][train]
    wanted = [MISSING_ROW if m is None else 3 + words.index(m) for m in moods]
    assert found.tolist() == wanted


def test_at_the_end_the_newest_train_row_speaks_and_without_one_the_table(
    prepared: Prepared, encoders: dict[SideName, RowEncoder]
) -> None:
    rows, log = prepared.data.interactions, prepared.log
    assert rows.timestamp is not None
    assert rows.order is not None
    for user, record in enumerate(encoders["user"].raw_records()):
        own = np.flatnonzero(log.is_train & (rows.user == user))
        if not len(own):
            assert record.get("mood") == ("tired" if user % 2 == 0 else None)
            continue
        newest = own[np.argsort(rows.order[own], kind="stable")][-1]
        assert record.get("mood") == rows.columns["mood"][newest]


def test_context_comes_from_the_row_and_entities_have_none(
    prepared: Prepared, encoders: dict[SideName, RowEncoder]
) -> None:
    column = prepared.schema.user.ids.index("tab")
    train = np.flatnonzero(prepared.log.is_train)
    words = prepared.schema.tables["user.tab"]
    found = encoders["user"].rows(train).batch(np.arange(len(train)))["ids"][:, column]
    tabs = prepared.data.interactions.columns["tab"][train]
    assert found.tolist() == [3 + words.index(tab) for tab in tabs]
    still = encoders["user"].entities()
    assert set(still.batch(np.arange(len(still)))["ids"][:, column]) == {MISSING_ROW}


def test_raw_records_hold_nothing_that_is_missing(encoders: dict[SideName, RowEncoder]) -> None:
    for encoder in encoders.values():
        for record in encoder.raw_records():
            assert None not in record.values()
            assert encoder.side.parse(record) == record


@pytest.mark.parametrize("side_name", SIDES)
def test_a_batch_is_padded_to_its_longest_bag_and_no_further(
    encoders: dict[SideName, RowEncoder], side_name: SideName
) -> None:
    encoder = encoders[side_name]
    rows = encoder.entities()
    every = rows.batch(np.arange(len(rows)))
    for name in encoder.side.bags:
        lengths = (every[name] != PADDING_ROW).sum(1)
        shortest, longest = int(lengths.argmin()), int(lengths.argmax())
        for chosen in ([shortest], [shortest, longest], [longest, shortest]):
            cut = rows.batch(np.array(chosen))[name]
            assert cut.shape == (len(chosen), max(1, int(lengths[chosen].max())))
            for place, row in enumerate(chosen):
                kept = every[name][row][: cut.shape[1]]
                assert cut[place].tolist() == kept.tolist()


def test_a_missing_bag_is_told_from_an_empty_one(
    prepared: Prepared, encoders: dict[SideName, RowEncoder]
) -> None:
    rows = np.arange(len(prepared.data.interactions))
    found = encoders["user"].rows(rows)
    arrays = found.batch(rows)["liked"]
    liked = prepared.data.interactions.columns["liked"]
    for row in rows:
        if liked[row] is None:
            assert arrays[row].tolist() == [MISSING_ROW, PADDING_ROW]
        elif not liked[row]:
            assert arrays[row].tolist() == [PADDING_ROW, PADDING_ROW]
        else:
            assert (arrays[row] > MISSING_ROW).sum() == min(2, len(liked[row]))


def test_a_missing_weighted_bag_weighs_one(encoders: dict[SideName, RowEncoder]) -> None:
    rows = encoders["user"].entities()
    arrays = rows.batch(np.arange(len(rows)))
    missing = arrays["taste"][:, 0] == MISSING_ROW
    assert missing.any()
    assert (arrays["taste.weights"][missing].sum(1) == 1).all()
    assert ((arrays["taste.weights"] > 0) == (arrays["taste"] != PADDING_ROW)).all()


def test_rows_may_come_in_any_order_and_twice(
    prepared: Prepared, encoders: dict[SideName, RowEncoder]
) -> None:
    found = encoders["user"].rows(np.flatnonzero(prepared.log.is_train)[:50])
    at = np.array([7, 3, 7])
    batch = found.batch(at)
    for place, row in enumerate(at):
        alone = found.batch(np.array([row]))
        assert batch["ids"][place].tolist() == alone["ids"][0].tolist()
        assert batch["recent"][place][: alone["recent"].shape[1]].tolist() == (
            alone["recent"][0].tolist()
        )


def test_a_side_without_preference_has_no_present(world: Path) -> None:
    raw = world_config(world)
    raw["item"] = {"content": {"length_s": {"kind": "number"}}}
    del raw["user"]["preference"]["taste"], raw["user"]["preference"]["makers"]
    bare = prepare(parse_config(raw, world / "train.yaml"))
    rows = RowEncoder(bare.schema, "item", bare.data, bare.log).entities()
    assert isinstance(rows, SideRows)
    assert rows.batch(np.arange(3)).keys() == {"values"}
    assert not rows.present.any()


@pytest.mark.parametrize("side", SIDES)
def test_a_log_in_small_parts_is_encoded_to_the_same_bit(
    prepared: Prepared, side: SideName, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = np.random.default_rng(3).permutation(len(prepared.log))
    whole = RowEncoder(prepared.schema, side, prepared.data, prepared.log).rows(rows)
    monkeypatch.setattr(parts, "ROWS", 40)
    in_parts = RowEncoder(prepared.schema, side, prepared.data, prepared.log).rows(rows)
    assert in_parts.place.tolist() != whole.place.tolist(), "it was cut"
    everything = np.arange(len(rows))
    found, wanted = in_parts.batch(everything), whole.batch(everything)
    assert found.keys() == wanted.keys()
    for name in wanted:
        np.testing.assert_array_equal(found[name], wanted[name], err_msg=name)


def test_a_table_in_small_parts_gives_the_same_schema_and_batches(
    prepared: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = list(make_batches(prepared, make_encoders(prepared)).epoch(0))
    monkeypatch.setattr(parts, "ROWS", 40)
    monkeypatch.setattr(interactions, "ROWS", 37)
    again = prepare(prepared.config)
    assert again.schema == prepared.schema
    found = list(make_batches(again, make_encoders(again)).epoch(0))
    assert len(found) == len(wanted) > 1
    for one, other in zip(found, wanted, strict=True):
        for name in ("users", "items", "weight", "known_positive", "log_q"):
            assert torch.equal(getattr(one, name), getattr(other, name)), name
        for mine, theirs in ((one.user, other.user), (one.item, other.item)):
            assert mine.keys() == theirs.keys()
            for name, tensor in mine.items():
                np.testing.assert_array_equal(tensor, theirs[name], err_msg=name)


def test_what_rows_of_the_log_hold_lies_in_maps_of_files(
    prepared: Prepared, encoders: dict[SideName, RowEncoder]
) -> None:
    moving = encoders["user"].rows(np.arange(100)).moving
    for name, column in moving.items():
        array = column.values if isinstance(column, Ragged) else column
        while isinstance(array.base, np.ndarray):
            array = array.base
        assert isinstance(array.base, memoryview), name
        assert isinstance(array.base.obj, mmap), name
