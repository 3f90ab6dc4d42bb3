"""The vectorised statistics: the same as the fold, to the last bit, and blind to the answer."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from threadpoolctl import threadpool_limits

from export.contract.errors import ConfigError, DataError
from export.contract.statistics import (
    Count,
    Distinct,
    Events,
    Identity,
    ItemVectors,
    Last,
    Mean,
    Profile,
    Rate,
    Side,
    Statistic,
    Total,
    UserVectors,
    Value,
    Windowed,
)
from tests.floats import floats
from training.ragged import Ragged
from training.statistics import (
    FOLDS,
    Concepts,
    ItemWords,
    Log,
    Timelines,
    Values,
    as_of_end,
    by_concept,
    compute,
    fit,
    in_parts,
    rule_for,
)

SIDES: tuple[Side, Side] = ("user", "item")
NUMBERS: list[Statistic] = [
    Count(),
    Count(where={"label": 1}),
    Count(where={"tab": [0, 2], "place": "home"}),
    Rate(),
    Rate(where={"place": "home"}),
    Rate(smoothing=1.7, prior=0.31),
    Mean(of="seconds"),
    Mean(of="seconds", where={"label": 1}, smoothing=2.5, prior=3.3),
    Mean(of="score", where={"place": "home"}),
    Distinct(),
    Distinct(where={"label": 1, "tab": [0, 2]}),
    Distinct(of="tags"),
    Distinct(of="tags", where={"place": ["home", "search"]}),
]
WINDOWED: list[Statistic] = [
    Count(window="3s"),
    Count(window="1m", where={"label": 0}),
    Rate(window="5s"),
    Rate(window="2s", smoothing=0.4, prior=0.6),
    Mean(of="seconds", window="4s"),
    Distinct(window="1s"),
    Distinct(window="3s", where={"label": 1}),
    Distinct(of="tags", window="5s"),
]
CONCEPTS: list[Count | Rate | Mean] = [
    Count(by="kind"),
    Count(by="kind", where={"label": 1}, window="3s"),
    Rate(by="kind"),
    Rate(by="kind", smoothing=1.7, prior=0.31),
    Mean(by="kind", of="seconds"),
]
HISTORIES: list[Statistic] = [
    Last(n=3),
    Last(n=50, where={"tab": [0, 1]}),
    Last(n=1, where={"label": 0}),
    Profile(of="tags", n=4, words=3),
    Profile(of="tags", n=50, words=2, where={"place": ["home", "search"]}),
    ItemVectors(vectors="v", n=3),
    ItemVectors(vectors="v", n=50, where={"tab": [0, 1]}),
    UserVectors(vectors="v", n=3),
    UserVectors(vectors="v", n=50, where={"tab": [0, 1]}),
]
ALL = [*NUMBERS, *WINDOWED, *CONCEPTS, *HISTORIES, Identity()]
KINDS = ["a", "b", None, "a", "a", "b", None, "b", "c"]  # of each entity, on either side
KIND = Concepts.of(list(KINDS))
VECTORS = np.random.default_rng(8).standard_normal((9, 3)).astype(np.float32)
VECTORS[4] = np.nan  # one that has none


def weights_of(seed: int, items: int) -> list[Mapping[str, float] | list[str]]:
    """Give each item words; under odd seeds with weights that no float holds exactly."""
    rng = np.random.default_rng(seed)
    lists = [[f"w{word}" for word in rng.integers(0, 9, rng.integers(0, 5))] for _ in range(items)]
    if seed % 2:
        return [{word: float(rng.random()) for word in words} for words in lists]
    return list(lists)


def world(
    seed: int, rows: int, *, clocks: tuple[str, ...], moments: int = 12, train: float = 0.8
) -> Log:
    """Make a small log with many ties of time, repeated pairs and rows that are not train."""
    rng = np.random.default_rng(seed)
    user, item = rng.integers(0, 4, rows), rng.integers(0, 6, rows)
    return Log(
        user=user.astype(np.int32),
        item=item.astype(np.int32),
        label=(rng.random(rows) < 0.5).astype(np.int8),
        is_train=rng.random(rows) < train,
        time=np.float64(1.65e9) + rng.integers(0, moments, rows) / 2 if "time" in clocks else None,
        order=rng.integers(-2, moments, rows) if "order" in clocks else None,
        columns={
            "tab": rng.integers(0, 3, rows),
            "place": np.array(["home", "search", None], dtype=object)[rng.integers(0, 3, rows)],
            "seconds": np.where(rng.random(rows) < 0.2, np.nan, 1e4 * rng.standard_normal(rows)),
            "score": rng.choice(np.array([None, 0.1, "7.25", 12], dtype=object), rows),
        },
        seed=seed,
    )


CLOCKS = st.sampled_from([("time",), ("order",), ("time", "order"), ()])
SEEDS = st.integers(0, 2**32 - 1)


def declared(log: Log, side: Side) -> list[Statistic]:
    """Return the statistics that this side of a log can have."""
    fitting = [statistic for statistic in ALL if side in statistic.sides]
    if log.time is not None and rule_for(replace(log, order=None), side).clock:
        return fitting
    return [s for s in fitting if not (isinstance(s, Windowed) and s.window)]


def folded(
    statistic: Statistic, log: Log, side: Side, row: int | None, entity: int, tags: list[Any]
) -> Value:
    """Fold in plain Python: at a row of the log, or at the end of training."""
    rule = rule_for(log, side, statistic)
    ids, others = log.ids(side), log.others(side)
    times = np.arange(len(log)) if rule.clock is None else log.moments(rule.clock)
    seen = [i for i in range(len(log)) if log.is_train[i] and ids[i] == entity]
    if isinstance(statistic, Total) and statistic.by is not None:
        if KINDS[entity] is None:
            return None
        fellows = [one for one in range(9) if KINDS[one] == KINDS[entity] and one != entity]
        seen = [i for i in range(len(log)) if log.is_train[i] and ids[i] in fellows]
    now = log.end if rule.clock == "timestamp" else math.inf
    if row is not None and log.is_train[row]:
        if rule.clock is None:
            seen = [i for i in seen if log.fold[i] != log.fold[row]]
        else:
            now = times[row]
    events = Events(
        np.array([str(others[i]) for i in seen], dtype=object),
        log.label[seen].astype(float),
        times[seen].astype(float),
        {name: column[seen] for name, column in log.columns.items()},
        str(entity),
    )
    target = None if row is None else str(others[row])
    told: dict[str, Any] = {str(i): tags[i] for i in range(len(tags))}
    if statistic.vectors_of is not None:
        told = {str(i): VECTORS[i].tolist() if i != 4 else [] for i in range(len(VECTORS))}
    return statistic.fold(events, float(now), items=told.get, exclude=target)


def at(values: Values, i: int, words: ItemWords) -> Value:
    """Read one row as the fold would give it."""
    if not isinstance(values, Ragged):
        if values.ndim == 2:
            return None if np.isnan(values[i]).any() else floats(*values[i])
        return None if np.isnan(values[i]) else float(values[i])
    if values.missing[i]:
        return None
    part = slice(int(values.indptr[i]), int(values.indptr[i + 1]))
    if values.weights is None:
        return [str(other) for other in values.values[part]]
    named = [words.words[word] for word in values.values[part]]
    return dict(zip(named, values.weights[part].tolist(), strict=True))


def rounded(value: Value) -> Value:
    """Round to float32, and hold an id as a list of one, as training does."""
    if isinstance(value, float):
        return float(np.float32(value))
    if isinstance(value, dict):
        return {word: float(np.float32(weight)) for word, weight in value.items()}
    return [value] if isinstance(value, str) else value


def same(got: Value, expected: Value) -> bool:
    """Compare exactly, a bag's order too."""
    if isinstance(got, dict) and isinstance(expected, dict):
        return list(got.items()) == list(expected.items())
    return got == expected


@pytest.mark.parametrize("side", SIDES)
@settings(max_examples=60)
@given(seed=SEEDS, rows=st.integers(1, 70), clocks=CLOCKS, moments=st.integers(1, 40))
def test_every_row_equals_its_fold_exactly(
    side: Side, seed: int, rows: int, clocks: tuple[str, ...], moments: int
) -> None:
    log, tags = world(seed, rows, clocks=clocks, moments=moments), weights_of(seed, 6)
    asked = np.random.default_rng(seed).permutation(rows)
    words, timelines = ItemWords.of(tags), Timelines(log)
    known: Any = {"words": words, "concepts": KIND, "vectors": VECTORS}
    for statistic in declared(log, side):
        values = compute(statistic, log, side, asked, timelines=timelines, **known)
        for i, row in enumerate(asked):
            entity = int(log.ids(side)[row])
            expected = rounded(folded(statistic, log, side, int(row), entity, tags))
            assert same(at(values, i, words), expected), (statistic, row)


@pytest.mark.parametrize("side", SIDES)
@settings(max_examples=40)
@given(seed=SEEDS, rows=st.integers(1, 70), clocks=CLOCKS, size=st.integers(1, 30))
def test_a_part_of_the_log_says_what_the_whole_does_to_the_last_bit(
    side: Side, seed: int, rows: int, clocks: tuple[str, ...], size: int
) -> None:
    log, words = world(seed, rows, clocks=clocks), ItemWords.of(weights_of(seed, 6))
    asked = np.random.default_rng(seed).permutation(rows)[: 1 + rows // 2]
    known: Any = {"words": words, "vectors": VECTORS, "concepts": KIND}
    for statistic in declared(log, side):
        by = KIND if getattr(statistic, "by", None) else None
        whole, seen = compute(statistic, log, side, asked, **known), []
        for part in in_parts(log, side, asked, by, size):
            values = compute(statistic, part.log, side, part.rows, **known)
            np.testing.assert_array_equal(
                log.ids(side)[asked[part.at]], part.log.ids(side)[part.rows]
            )
            for place, row in enumerate(part.at):
                assert at(values, place, words) == at(whole, row, words) or same(
                    at(values, place, words), at(whole, row, words)
                ), statistic
            seen += part.at.tolist()
        assert sorted(seen) == list(range(len(asked)))


def test_a_part_has_so_many_rows_of_whole_entities() -> None:
    user = np.random.default_rng(0).integers(0, 50, 1000).astype(np.int32)
    zeros = np.zeros(1000, np.int32)
    log = Log(user=user, item=zeros, label=zeros, is_train=zeros == 0)
    found = list(in_parts(log, "user", np.arange(1000), size=100))
    assert 9 <= len(found) <= 10
    assert max(len(one.log) for one in found) < 100 + np.bincount(user).max()
    owners = [set(one.log.user.tolist()) for one in found]
    assert sum(map(len, owners)) == len(set.union(*owners)) == 50, "an entity is in one part"
    assert [len(one.log) for one in in_parts(log, "item", np.arange(1000), size=100)] == [1000]


@pytest.mark.parametrize("side", SIDES)
@settings(max_examples=30)
@given(seed=SEEDS, rows=st.integers(1, 70), clocks=CLOCKS)
def test_end_of_training_equals_the_fold_of_all_train_rows(
    side: Side, seed: int, rows: int, clocks: tuple[str, ...]
) -> None:
    log, tags = world(seed, rows, clocks=clocks), weights_of(seed, 6)
    words, entities = ItemWords.of(tags), np.arange(9, dtype=np.int32)[::-1]
    for statistic in declared(log, side):
        values = as_of_end(
            statistic, log, side, entities, words=words, concepts=KIND, vectors=VECTORS
        )
        for i, entity in enumerate(entities):
            expected = rounded(folded(statistic, log, side, None, int(entity), tags))
            assert same(at(values, i, words), expected), (statistic, entity)


def test_cutting_the_work_into_chunks_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    log, words = world(3, 300, clocks=("time",)), ItemWords.of(weights_of(3, 6))
    rows = np.arange(len(log))
    asked = [(s, s.sides[0]) for s in HISTORIES]
    whole = [
        compute(s, log, side, rows, words=words, concepts=KIND, vectors=VECTORS)
        for s, side in asked
    ]
    monkeypatch.setattr("training.statistics.histories.EVENTS_PER_CHUNK", 7)
    for (statistic, side), expected in zip(asked, whole, strict=True):
        assert_identical(
            compute(statistic, log, side, rows, words=words, concepts=KIND, vectors=VECTORS),
            expected,
        )


def assert_identical(got: Values, expected: Values) -> None:
    if isinstance(got, Ragged) and isinstance(expected, Ragged):
        for name in ("indptr", "values", "weights", "missing"):
            np.testing.assert_array_equal(getattr(got, name), getattr(expected, name))
    else:
        np.testing.assert_array_equal(got, expected)


def scrambled(log: Log, labels: NDArray[np.bool_], rows: NDArray[np.bool_], seed: int) -> Log:
    """Change the labels of some rows, and everything else, even existence, of some rows."""
    rng = np.random.default_rng(seed)
    return replace(
        log,
        user=np.where(rows, rng.permutation(log.user), log.user),
        item=np.where(rows, rng.permutation(log.item), log.item),
        label=np.where(labels | rows, rng.permutation(1 - log.label), log.label),
        is_train=log.is_train & ~(rows & (rng.random(len(log)) < 0.4)),
        columns={
            name: np.where(labels | rows, rng.permutation(column), column)
            for name, column in log.columns.items()
        },
    )


@pytest.mark.parametrize("side", SIDES)
@settings(max_examples=40)
@given(seed=SEEDS, clock=st.sampled_from(["time", "order"]), cut=st.integers(1, 11))
def test_no_later_row_changes_an_earlier_feature(
    side: Side, seed: int, clock: str, cut: int
) -> None:
    if side == "item":
        clock = "time"
    log, words = world(seed, 150, clocks=(clock,)), ItemWords.of(weights_of(seed, 6))
    reading = log.moments("order" if clock == "order" else "timestamp")
    moment = np.unique(reading)[cut]
    spared = np.random.default_rng(seed).random(len(log)) < 0.5
    asked = np.flatnonzero(log.is_train & ((reading < moment) | ((reading == moment) & spared)))
    labels = reading >= moment  # their own labels are among those that change
    changed = scrambled(log, labels, labels & ~np.isin(np.arange(len(log)), asked), seed)
    for statistic in declared(log, side):
        assert rule_for(changed, side, statistic) == rule_for(log, side, statistic)
        if rule_for(log, side, statistic).kind == "out_of_fold":  # by concept, without a timestamp
            continue
        assert_identical(
            compute(statistic, changed, side, asked, words=words, concepts=KIND, vectors=VECTORS),
            compute(statistic, log, side, asked, words=words, concepts=KIND, vectors=VECTORS),
        )


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("fold", range(FOLDS))
def test_no_row_of_a_fold_changes_a_feature_of_that_fold(side: Side, fold: int) -> None:
    log, words = world(fold, 300, clocks=()), ItemWords.of(weights_of(fold, 6))
    inside = log.is_train & (log.fold == fold)
    spared = np.arange(len(log)) % 2 == 0
    asked = np.flatnonzero(inside & spared)
    changed = scrambled(log, inside, inside & ~spared, fold)
    for statistic in declared(log, side):
        assert_identical(
            compute(statistic, changed, side, asked, words=words, concepts=KIND, vectors=VECTORS),
            compute(statistic, log, side, asked, words=words, concepts=KIND, vectors=VECTORS),
        )


@pytest.mark.parametrize("clocks", [("time",), ("order",), ()])
@pytest.mark.parametrize("side", SIDES)
def test_rows_outside_train_change_nothing(side: Side, clocks: tuple[str, ...]) -> None:
    log, words = world(5, 300, clocks=clocks), ItemWords.of(weights_of(5, 6))
    asked = np.arange(len(log))[::3]
    others = ~log.is_train & ~np.isin(np.arange(len(log)), asked)
    changed = scrambled(log, ~log.is_train, others, 5)
    for statistic in declared(log, side):
        assert_identical(
            compute(statistic, changed, side, asked, words=words, concepts=KIND, vectors=VECTORS),
            compute(statistic, log, side, asked, words=words, concepts=KIND, vectors=VECTORS),
        )


def test_target_stays_in_the_history_only_on_request() -> None:
    log = Log(
        user=np.zeros(3, np.int32),
        item=np.array([4, 5, 4], np.int32),
        label=np.ones(3, np.int8),
        is_train=np.ones(3, bool),
        time=np.arange(3.0),
    )
    third = np.array([2])
    without = compute(Last(), log, "user", third)
    with_it = compute(Last(), log, "user", third, exclude_target=False)
    assert isinstance(without, Ragged)
    assert isinstance(with_it, Ragged)
    assert without.values.tolist() == [5]
    assert with_it.values.tolist() == [4, 5]


ROWS = 130_000


def propensities(seed: int, *, timed: bool, shuffled: bool) -> Log:
    """Make a log in which users and items differ in how often they click and are clicked."""
    rng = np.random.default_rng(seed)
    user = rng.choice(6000, ROWS, p=skewed(6000)).astype(np.int32)
    item = rng.choice(2000, ROWS, p=skewed(2000)).astype(np.int32)
    logit = rng.normal(size=6000)[user] + rng.normal(size=2000)[item] - 0.7
    label = (rng.random(ROWS) < 1 / (1 + np.exp(-logit))).astype(np.int8)
    label = rng.permutation(label) if shuffled else label
    return Log(
        user=user,
        item=item,
        label=label,
        is_train=np.ones(ROWS, bool),
        columns={"seconds": rng.exponential(10, ROWS) * (1 + label)},  # it tells of the label
        time=rng.integers(0, 100_000, ROWS).astype(float) if timed else None,
        seed=seed,
    )


def skewed(size: int) -> NDArray[np.float64]:
    popularity = np.arange(1, size + 1, dtype=np.float64) ** -0.5
    shares: NDArray[np.float64] = popularity / popularity.sum()
    return shares


def inputs(log: Log) -> NDArray[np.float32]:
    """Put every kind of statistic of both sides side by side: [rows, inputs]."""
    rows, words = np.arange(len(log)), ItemWords.of([[f"w{i % 4}"] for i in range(2000)])
    numbers: list[Statistic] = [Count(), Count(where={"label": 1}), Rate(smoothing=5)]
    columns = [
        compute(fit(statistic, log), log, side, rows) for side in SIDES for statistic in numbers
    ]
    columns += [
        compute(Mean(of="seconds", smoothing=5, prior=10.0), log, side, rows) for side in SIDES
    ]
    columns += [compute(Distinct(where={"label": 1}), log, side, rows) for side in SIDES]
    makers = Concepts.of([f"m{i % 700}" for i in range(2000)])
    by_maker: list[Count | Rate] = [Count(by="maker", where={"label": 1}), Rate(by="maker")]
    columns += [compute(s, log, "item", rows, concepts=makers) for s in by_maker]
    if log.time is not None:
        columns.append(compute(Rate(window="12h"), log, "item", rows))
        columns.append(compute(Distinct(of="word", window="6h"), log, "user", rows, words=words))
    for statistic in (Last(n=20), Profile(of="word", n=20)):
        history = compute(statistic, log, "user", rows, words=words, concepts=KIND, vectors=VECTORS)
        assert isinstance(history, Ragged)
        columns.append(history.lengths.astype(np.float32))
        if history.weights is not None:
            bags = np.zeros((len(log), len(words.words)), np.float32)
            bags[np.repeat(rows, history.lengths), history.values] = history.weights
            columns.extend(bags.T)
    return np.stack([column for column in columns if not isinstance(column, Ragged)], axis=1)


def naive(log: Log, *, own: bool) -> NDArray[np.float64]:
    """Count over the whole log, with the row itself or with nothing but the row left out."""
    columns: list[NDArray[np.float64]] = []
    for ids in (log.user, log.item):
        rows = np.bincount(ids)[ids] - (not own)
        clicks = np.bincount(ids, weights=log.label)[ids] - log.label * (not own)
        columns += [rows.astype(float), clicks, clicks / np.maximum(rows, 1)]
    return np.stack(columns, axis=1)


def auc_held_out(x: NDArray[Any], label: NDArray[Any]) -> float:
    """Train on half of the rows, order the other half; its sigma is .0023 under no signal."""
    fitting = np.random.default_rng(9).random(len(label)) < 0.5
    model = HistGradientBoostingClassifier(max_iter=60, random_state=0)
    with threadpool_limits(1):  # tests run side by side, and its threads wait by spinning
        model.fit(x[fitting], label[fitting])
        score = model.predict_proba(x[~fitting])[:, 1]
    return float(roc_auc_score(label[~fitting], score))


@pytest.mark.parametrize("timed", [True, False], ids=["point_in_time", "out_of_fold"])
def test_statistics_alone_tell_nothing_of_shuffled_labels(timed: bool) -> None:
    log = propensities(1, timed=timed, shuffled=True)
    assert rule_for(log, "user").kind == ("point_in_time" if timed else "out_of_fold")
    assert abs(auc_held_out(inputs(log), log.label) - 0.5) < 0.01


@pytest.mark.parametrize("timed", [True, False], ids=["point_in_time", "out_of_fold"])
def test_statistics_alone_tell_much_of_true_labels(timed: bool) -> None:
    log = propensities(1, timed=timed, shuffled=False)
    assert auc_held_out(inputs(log), log.label) > 0.65


@pytest.mark.parametrize("own", [True, False], ids=["row_itself_in", "row_itself_out"])
def test_naive_statistics_are_caught_by_the_same_measure(own: bool) -> None:
    log = propensities(1, timed=False, shuffled=True)
    assert auc_held_out(naive(log, own=own), log.label) > 0.55


def test_rule_goes_by_order_for_users_and_by_timestamp_for_items() -> None:
    both = world(0, 50, clocks=("time", "order"))
    assert rule_for(both, "user").clock == "order"
    assert rule_for(both, "item").clock == "timestamp"
    assert rule_for(both, "user", Count(window="7d")).clock == "timestamp"
    ordered = world(0, 50, clocks=("order",))
    assert rule_for(ordered, "user").kind == "point_in_time"
    assert rule_for(ordered, "item").kind == "out_of_fold"


def test_clock_that_tells_no_train_rows_apart_is_none() -> None:
    log = world(0, 50, clocks=("time", "order"))
    assert log.time is not None
    stopped = replace(
        log, time=np.where(log.is_train, 7.0, log.time), order=log.user.astype(np.int64)
    )
    for side in SIDES:
        assert rule_for(stopped, side).kind == "out_of_fold"
    assert rule_for(replace(stopped, time=log.time), "user").clock == "timestamp"


def test_rule_can_be_printed_and_stored() -> None:
    log = world(4, 50, clocks=("order",))
    assert str(rule_for(log, "user")) == "user: point_in_time by order"
    rule = rule_for(log, "item")
    assert str(rule) == "item: out_of_fold, 5 folds, seed 4"
    assert type(rule).model_validate_json(rule.model_dump_json()) == rule


def test_window_without_timestamps_names_the_remedy() -> None:
    log = world(0, 50, clocks=("order",))
    with pytest.raises(DataError, match="has a window, but .* add one, or remove the window"):
        compute(Count(window="7d"), log, "user", np.arange(50))


def test_statistic_of_the_wrong_side_is_refused() -> None:
    log = world(0, 50, clocks=("time",))
    with pytest.raises(ConfigError, match="'profile' is of a user, not of an item"):
        compute(Profile(of="tags"), log, "item", np.arange(50))


@pytest.mark.parametrize("side", SIDES)
@settings(max_examples=25)
@given(seed=SEEDS, clocks=st.sampled_from([("time",), ()]))
def test_own_rows_never_change_what_the_concept_tells(
    side: Side, seed: int, clocks: tuple[str, ...]
) -> None:
    log = world(seed, 120, clocks=clocks)
    rows = np.flatnonzero(log.ids(side) == 0)
    own = np.isin(np.arange(len(log)), rows)
    numbers = {name: np.where(own, 1, column) for name, column in log.columns.items()}
    changed = replace(log, label=np.where(own, 1 - log.label, log.label), columns=numbers)
    alone = np.zeros(1, np.int32)
    for statistic in (one for one in CONCEPTS if one in declared(log, side)):
        assert_identical(
            compute(statistic, changed, side, rows, concepts=KIND, vectors=VECTORS),
            compute(statistic, log, side, rows, concepts=KIND, vectors=VECTORS),
        )
        assert_identical(
            as_of_end(statistic, changed, side, alone, concepts=KIND, vectors=VECTORS),
            as_of_end(statistic, log, side, alone, concepts=KIND, vectors=VECTORS),
        )


def test_concept_with_the_entity_among_it_is_caught_by_the_same_change() -> None:
    log = world(1, 120, clocks=("time",))
    rows = np.flatnonzero(log.item == 0)
    labels = np.where(log.item == 0, 1 - log.label, log.label)
    fellows = KIND.log(log, "item")
    changed = KIND.log(replace(log, label=labels), "item")
    before, after = (compute(Rate(), one, "item", rows) for one in (fellows, changed))
    assert not isinstance(before, Ragged)
    assert not isinstance(after, Ragged)
    assert not np.array_equal(before, after, equal_nan=True)


@pytest.mark.parametrize("side", SIDES)
def test_new_entity_of_a_concept_has_what_the_concept_has(side: Side) -> None:
    log = world(3, 200, clocks=("time",))
    new = np.arange(7, 9, dtype=np.int32)  # without rows: one of a known kind, one of its own
    for statistic in CONCEPTS:
        whole = by_concept(statistic, log, side, KIND)
        value = as_of_end(statistic, log, side, new, concepts=KIND, vectors=VECTORS)
        assert not isinstance(value, Ragged)
        np.testing.assert_array_equal(value, [whole[KIND.words.index("b")], np.nan])
        assert not np.isnan(value[0])


def test_entity_that_is_alone_of_its_concept_knows_nothing_of_it() -> None:
    log = world(3, 200, clocks=("time",))
    alone = Concepts.of([f"kind {n}" for n in range(9)])
    everyone = np.arange(6, dtype=np.int32)
    for statistic in CONCEPTS:
        value = as_of_end(statistic, log, "item", everyone, concepts=alone)
        assert not isinstance(value, Ragged)
        assert np.isnan(value).all()
        assert not np.isnan(by_concept(statistic, log, "item", alone)[:6]).any()


def test_concept_of_users_goes_by_no_order_of_single_users() -> None:
    log = world(0, 50, clocks=("time", "order"))
    assert rule_for(log, "user", Count(by="kind")).clock == "timestamp"
    assert rule_for(replace(log, time=None), "user", Count(by="kind")).kind == "out_of_fold"


def test_mean_is_exact_whatever_stood_before_it() -> None:
    """A running sum in floats would lose the small numbers beside the large ones."""
    log = replace(
        world(0, 4, clocks=("time",), train=1.0),
        user=np.zeros(4, np.int32),
        time=np.arange(4.0),
        columns={"seconds": np.array([1e12, 0.1, 0.2, 0.0])},
    )
    seen = compute(Mean(of="seconds", window="2s"), log, "user", np.array([3]))
    assert not isinstance(seen, Ragged)
    assert seen[0] == np.float32((0.1 + 0.2) / 2)


def test_words_are_counted_once_over_repeated_items_and_within_a_window() -> None:
    log = Log(
        user=np.zeros(5, np.int32),
        item=np.array([0, 1, 0, 2, 3], np.int32),
        label=np.ones(5, np.int8),
        is_train=np.ones(5, bool),
        time=np.arange(5.0),
    )
    words = ItemWords.of([["x", "y"], ["y"], [], ["z"]])
    rows = np.arange(5)
    ids = compute(Distinct(), log, "user", rows)
    found = compute(Distinct(of="tags"), log, "user", rows, words=words)
    recent = compute(Distinct(of="tags", window="2s"), log, "user", rows, words=words)
    np.testing.assert_array_equal(np.asarray(ids), [np.nan, 1, 2, 2, 3])
    np.testing.assert_array_equal(np.asarray(found), [np.nan, 2, 2, 2, 2])
    np.testing.assert_array_equal(np.asarray(recent), [np.nan, 2, 2, 2, 2])


def test_what_a_statistic_is_computed_from_has_to_be_given() -> None:
    log = world(0, 20, clocks=("time",))
    with pytest.raises(ValueError, match="distinct of 'tags': words of every item"):
        compute(Distinct(of="tags"), log, "user", np.arange(20))
    with pytest.raises(ValueError, match="count by 'kind' needs the concepts"):
        compute(Count(by="kind"), log, "user", np.arange(20))
    with pytest.raises(ConfigError, match="'distinct' is of a user, not of an item"):
        compute(Distinct(of="tags"), log, "item", np.arange(20))


def test_prior_is_the_rate_or_mean_of_matching_train_rows() -> None:
    log = world(0, 200, clocks=("time",))
    fitted = fit(Rate(smoothing=3, where={"place": "home"}), log)
    assert isinstance(fitted, Rate)
    matching = log.is_train & (log.columns["place"] == "home")
    assert fitted.prior == pytest.approx(log.label[matching].mean())
    assert fit(Rate(smoothing=3, prior=0.5), log) == Rate(smoothing=3, prior=0.5)
    with pytest.raises(DataError, match="no train row matches"):
        fit(Rate(smoothing=3, where={"tab": 99}), log)
    seconds = log.columns["seconds"][log.is_train & (log.label == 1)]
    mean = fit(Mean(of="seconds", smoothing=3, where={"label": 1}), log)
    assert isinstance(mean, Mean)
    assert mean.prior == pytest.approx(np.nanmean(seconds))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"label": np.array([0, 1, 2])}, "'label', row 2: got 2, expected 0 or 1"),
        ({"item": np.array([0, -1, -1], np.int32)}, r"'item', row 1: .* \(2 such rows\)"),
        ({"time": np.array([0.0, np.nan, 1.0])}, "'timestamp', row 1: got nan"),
        ({"columns": {"tab": np.arange(4)}}, "4 of 'tab' for 3 rows"),
    ],
)
def test_log_that_does_not_fit_names_column_and_row(change: dict[str, Any], says: str) -> None:
    zeros = np.zeros(3, np.int32)
    log = Log(user=zeros, item=zeros, label=zeros, is_train=np.ones(3, bool))
    with pytest.raises(DataError, match=says):
        replace(log, **change)


@pytest.mark.parametrize(("weights", "expected"), [(None, 1.0), ([0.5, 0.25], 0.75)])
def test_item_that_repeats_a_word_carries_it_once(
    weights: list[float] | None, expected: float
) -> None:
    log = replace(world(0, 2, clocks=("time",), train=1.0), item=np.zeros(2, np.int32))
    items = Ragged.of(np.array([2]), np.array([0, 0]))
    if weights is not None:
        items = replace(items, weights=np.array(weights, np.float32))
    words = ItemWords(["x"], items)
    log = replace(log, user=np.zeros(2, np.int32), label=np.array([1, 0]))
    bag = as_of_end(
        Profile(of="tags"), log, "user", np.zeros(1, np.int32), words=words, concepts=KIND
    )
    assert at(bag, 0, words) == {"x": expected}


def test_words_out_of_order_are_refused() -> None:
    items = Ragged.of(np.array([1]), np.array([0]))
    with pytest.raises(DataError, match="'a' follows 'b', expected distinct, ascending text"):
        ItemWords(["b", "a"], items)
    with pytest.raises(DataError, match="outside of the 0 words"):
        ItemWords([], items)
