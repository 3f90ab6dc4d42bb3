"""The declared statistics: what they say, when they are there, and how they refuse."""

import json
import math
import random
from dataclasses import replace

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from export.contract.errors import ConfigError, SchemaError
from export.contract.statistics import (
    Count,
    Distinct,
    Events,
    Identity,
    ItemVectors,
    Last,
    Lookup,
    Mean,
    Profile,
    Rate,
    Statistic,
    UserVectors,
    seconds,
)
from tests.floats import floats

STATISTIC: TypeAdapter[Statistic] = TypeAdapter(Statistic)
MEMBERS: list[Statistic] = [
    Count(),
    Count(where={"label": 1}, window="7d"),
    Rate(smoothing=2.0, prior=0.25),
    Rate(smoothing=2.0, prior=0.25, by="maker"),
    Mean(of="time", smoothing=2.0, prior=7.5),
    Distinct(),
    Distinct(of="tags", window="3s"),
    Last(n=3),
    Profile(of="tags", n=3, words=2),
    ItemVectors(vectors="v.parquet", n=3, where={}),
    UserVectors(vectors="v.parquet", n=3, where={}),
    Identity(),
]
TAGS = {"a": ["red", "round"], "b": ["red"], "c": [], "d": ["blue", "round"]}
VECTORS = {"a": [1.0, 2.0], "b": [0.1, -4.0], "c": [], "d": [3e30, 0.0]}


def told(statistic: Statistic) -> Lookup:
    """Return what the statistic asks of the items."""
    return TAGS.get if statistic.vectors_of is None else VECTORS.get


def events(*rows: tuple[str, int, float], **columns: list[object]) -> Events:
    other = np.array([row[0] for row in rows], dtype=object)
    label = np.array([row[1] for row in rows], dtype=float)
    time = np.array([row[2] for row in rows], dtype=float)
    facts = {"time": time, **{name: np.array(of) for name, of in columns.items()}}
    return Events(other, label, time, facts, "u")


@pytest.mark.parametrize("statistic", MEMBERS, ids=lambda s: s.aggregate)
class TestEveryMember:
    def test_declaration_survives_json(self, statistic: Statistic) -> None:
        text = json.dumps(statistic.model_dump(mode="json"))
        assert STATISTIC.validate_python(json.loads(text)) == statistic

    def test_missing_exactly_when_no_event_came_before(self, statistic: Statistic) -> None:
        seen = events(("a", 0, 5.0))
        for now, present in ((4.0, False), (5.0, False), (5.1, True), (1e9, True)):
            value = statistic.fold(seen, now, items=told(statistic))
            assert (value is not None) == present, now

    def test_given_order_of_events_does_not_matter(self, statistic: Statistic) -> None:
        rows = [(item, i % 2, float(i)) for i, item in enumerate("abcdabcddcba")]
        shuffled = random.Random(1).sample(rows, len(rows))
        assert statistic.fold(events(*rows), 9.0, items=told(statistic)) == statistic.fold(
            events(*shuffled), 9.0, items=told(statistic)
        )

    def test_later_events_change_nothing(self, statistic: Statistic) -> None:
        rows = [(item, 1, float(i)) for i, item in enumerate("abcd")]
        later = [("b", 1, 4.0), ("a", 0, 4.0), ("d", 1, 70.0)]
        assert statistic.fold(events(*rows), 4.0, items=told(statistic)) == statistic.fold(
            events(*rows, *later), 4.0, items=told(statistic)
        )


@pytest.mark.parametrize(
    ("statistic", "shown_only", "outside"),
    [
        (Count(), 1.0, None),
        (Count(where={"label": 1}), 0.0, None),
        (Count(where={"tab": 9}), 0.0, None),
        (Count(window="1s"), 0.0, None),
        (Rate(), 0.0, None),
        (Rate(where={"tab": 9}), None, None),
        (Rate(window="1s"), None, None),
        (Rate(where={"tab": 9}, smoothing=3, prior=0.25), 0.25, None),
        (Rate(smoothing=3, prior=0.25), 0.1875, None),
        (Mean(of="time"), 0.0, None),
        (Mean(of="time", where={"tab": 9}), None, None),
        (Mean(of="time", where={"tab": 9}, smoothing=3, prior=2.5), 2.5, None),
        (Distinct(), 1.0, None),
        (Distinct(where={"label": 1}), 0.0, None),
        (Distinct(of="tags"), 2.0, None),
        (Last(), [], None),
        (Last(where={"label": 0}), ["a"], None),
        (Profile(of="tags"), {}, None),
        (Identity(), "u", None),
    ],
)
def test_shown_and_never_clicked_is_known_and_never_shown_is_missing(
    statistic: Statistic, shown_only: object, outside: object
) -> None:
    seen = events(("a", 0, 0.0), tab=[1])
    assert statistic.fold(seen, 100.0, items=TAGS.get) == shown_only
    assert statistic.fold(seen, 0.0, items=TAGS.get) is outside
    assert statistic.fold(events(tab=[]), 100.0, items=TAGS.get) is outside


def test_window_holds_its_first_moment_and_not_its_last() -> None:
    seen = events(*[("a", 1, float(time)) for time in range(11)])
    assert Count(window="4s").fold(seen, 8.0) == 4.0  # 4, 5, 6 and 7


def test_window_without_a_moment_to_end_at_is_refused() -> None:
    with pytest.raises(ValueError, match="window of 7d needs a moment"):
        Count(window="7d").fold(events(("a", 1, 0.0)), math.inf)


@pytest.mark.parametrize(
    ("duration", "expected"), [("90s", 90), ("30m", 1800), ("12h", 43200), ("7d", 604800)]
)
def test_duration_is_in_seconds(duration: str, expected: float) -> None:
    assert seconds(duration) == expected


def test_where_takes_one_value_or_any_of_several_in_every_column() -> None:
    seen = events(
        *[("a", label, 0.0) for label in (1, 1, 0, 1)],
        tab=[1, 2, 1, 3],
        place=["home", "home", "home", "search"],
    )
    assert Count(where={"tab": [1, 3]}).fold(seen, 1.0) == 3.0
    assert Count(where={"tab": [1, 2], "label": 1}).fold(seen, 1.0) == 2.0
    assert Count(where={"place": ["search", "none"]}).fold(seen, 1.0) == 1.0


def test_mean_is_of_the_events_that_hold_a_number() -> None:
    watched: list[object] = [2.5, None, "0.25", float("nan"), 4, " "]
    rows = [("a", i % 2, float(i)) for i in range(6)]
    seen = replace(events(*rows), columns={"seconds": np.array(watched, dtype=object)})
    assert Mean(of="seconds").fold(seen, 9.0) == (2.5 + 0.25 + 4) / 3
    assert Mean(of="seconds", window="5s").fold(seen, 6.0) == (0.25 + 4) / 2
    assert Mean(of="seconds", where={"label": 1}).fold(seen, 9.0) is None
    assert Mean(of="seconds", smoothing=2, prior=1.0).fold(seen, 9.0) == (6.75 + 2) / 5


def test_mean_does_not_depend_on_the_order_of_what_is_added() -> None:
    numbers = np.random.default_rng(0).standard_normal(1000) * 10.0 ** np.arange(-5, 5).repeat(100)
    there, back = (
        Mean(of="x").fold(events(*[("a", 1, float(i)) for i in range(1000)], x=list(of)), 1e9)
        for of in (numbers, numbers[::-1])
    )
    assert there == back == pytest.approx(numbers.mean(), abs=1e-11)


@pytest.mark.parametrize(
    ("of", "says"),
    [
        ("nothing", r"of: .* no column 'nothing'; they have \['label', 'place', 'time', 'wild'\]"),
        ("place", "of: column 'place' is not of numbers: could not convert string .*home"),
        ("wild", "of: column 'wild': got inf, expected numbers within 1e12"),
    ],
)
def test_mean_of_what_is_no_number_is_refused(of: str, says: str) -> None:
    seen = events(("a", 1, 0.0), place=["home"], wild=[math.inf])
    with pytest.raises(ConfigError, match=says):
        Mean(of=of).fold(seen, 1.0)


def test_distinct_counts_ids_or_the_words_of_their_items_once() -> None:
    seen = events(*[(item, 1, float(i)) for i, item in enumerate("abacX")])
    assert Distinct().fold(seen, 9.0) == 4.0
    assert Distinct(of="tags").fold(seen, 9.0, items=TAGS.get) == 2.0
    assert Distinct(of="tags", window="3s").fold(seen, 6.0, items=TAGS.get) == 0.0
    assert Distinct(of="tags", window="3s").fold(seen, 4.5, items=TAGS.get) == 2.0
    with pytest.raises(ValueError, match="distinct words of 'tags' need the items' words"):
        Distinct(of="tags").fold(seen, 9.0)


@pytest.mark.parametrize("kind", [ItemVectors, UserVectors])
def test_vectors_of_the_newest_are_averaged_where_there_are_any(
    kind: type[ItemVectors | UserVectors],
) -> None:
    mean = kind(vectors="v", n=3)
    seen = events(*[(item, 1, float(i)) for i, item in enumerate("dabc")], ("d", 0, 9.0))
    assert mean.fold(seen, 10.0, items=VECTORS.get) == floats(0.55, -1.0)
    assert mean.fold(seen, 10.0, items=VECTORS.get, exclude="b") == floats(1.5e30, 1.0)
    assert mean.fold(events(("c", 1, 0.0)), 1.0, items=VECTORS.get) is None
    assert mean.fold(events(("a", 0, 0.0)), 1.0, items=VECTORS.get) is None
    assert mean.fold(events(("X", 1, 0.0)), 1.0, items=VECTORS.get) is None
    with pytest.raises(ValueError, match=r"(item|user)_vectors of 'v' need the \1s' vectors"):
        mean.fold(seen, 10.0)


def test_vectors_are_of_the_other_side() -> None:
    assert ItemVectors(vectors="v").sides == ("user",)
    assert UserVectors(vectors="v").sides == ("item",)


def test_last_keeps_the_newest_with_the_newest_last() -> None:
    seen = events(*[(item, 1, float(i)) for i, item in enumerate("abcad")], ("b", 0, 9.0))
    assert Last(n=3).fold(seen, 10.0) == ["c", "a", "d"]


def test_events_of_one_time_keep_the_order_given() -> None:
    seen = events(("b", 1, 2.0), ("a", 1, 2.0), ("d", 1, 1.0))
    assert Last().fold(seen, 3.0) == ["d", "b", "a"]


def test_target_is_left_out_of_histories_before_the_cut_and_kept_in_numbers() -> None:
    seen = events(*[(item, 1, float(i)) for i, item in enumerate("adbdd")])
    assert Last(n=2).fold(seen, 9.0, exclude="d") == ["a", "b"]
    profile = Profile(of="tags", n=2).fold(seen, 9.0, items=TAGS.get, exclude="d")
    assert profile == {"red": 2.0, "round": 1.0}
    assert Count().fold(seen, 9.0, exclude="d") == 5.0
    assert Rate().fold(seen, 9.0, exclude="d") == 1.0


def test_only_the_target_in_the_history_is_known_and_empty() -> None:
    assert Last().fold(events(("d", 1, 0.0)), 1.0, exclude="d") == []


def test_profile_counts_events_and_keeps_the_heaviest_with_ties_in_order_of_text() -> None:
    seen = events(*[(item, 1, float(i)) for i, item in enumerate("abad")])
    bag = Profile(of="tags", words=3).fold(seen, 9.0, items=TAGS.get)
    assert list((bag or {}).items()) == [("red", 3.0), ("round", 3.0), ("blue", 1.0)]
    assert Profile(of="tags", words=1).fold(seen, 9.0, items=TAGS.get) == {"red": 3.0}


def test_profile_adds_the_weights_of_a_weighted_feature() -> None:
    weights = {"a": {"red": 0.5, "round": 4.0}, "b": {"red": 0.25}}
    seen = events(("a", 1, 0.0), ("b", 1, 1.0), ("a", 1, 2.0))
    bag = Profile(of="tags").fold(seen, 9.0, items=weights.get)
    assert bag == {"round": 8.0, "red": 1.25}


def test_profile_counts_a_word_once_for_an_item_that_repeats_it() -> None:
    bag = Profile(of="tags").fold(events(("a", 1, 0.0)), 1.0, items={"a": ["x", "x"]}.get)
    assert bag == {"x": 1.0}


def test_unknown_item_is_dropped_before_the_cut_and_counted() -> None:
    seen = events(*[(item, 1, float(i)) for i, item in enumerate("abXcY")])
    assert Last(n=3).fold(seen, 9.0, items=TAGS.get) == ["a", "b", "c"]
    known, dropped = seen.known(TAGS.get)
    assert dropped == 2
    assert list(known.other) == ["a", "b", "c"]


def test_history_of_unknown_items_alone_is_no_history() -> None:
    seen = events(("X", 1, 0.0))
    known, dropped = seen.known(TAGS.get)
    assert dropped == 1
    for statistic in (Last(), Profile(of="tags")):
        assert statistic.fold(seen, 1.0, items=TAGS.get) is None
        assert statistic.fold(known, 1.0, items=TAGS.get) is None


def test_history_of_a_request_folds_as_stored_clicks_do() -> None:
    ids = ["a", "b", "c", "a", "d"]
    stored = events(*[(item, 1, 1e9 + i) for i, item in enumerate(ids)])
    for statistic in (Last(n=3), Profile(of="tags", n=3)):
        assert statistic.takes_history
        assert statistic.fold(
            Events.history(ids), math.inf, items=TAGS.get, exclude="b"
        ) == statistic.fold(stored, 2e9, items=TAGS.get, exclude="b")


def test_empty_history_is_missing() -> None:
    assert Last().fold(Events.history([]), math.inf) is None


@pytest.mark.parametrize(
    "statistic",
    [Count(), Rate(), Distinct(), Last(where={"label": 0}), Last(where={"label": 1, "tab": 1})],
)
def test_history_of_clicks_does_not_stand_in_for_what_it_cannot_tell(statistic: Statistic) -> None:
    assert not statistic.takes_history


@pytest.mark.parametrize(
    ("declaration", "says"),
    [
        (
            {"aggregate": "counts"},
            [
                "'counts'",
                "'rate', 'mean', 'distinct', 'last', 'profile', ",
                "'item_vectors', 'user_vectors', 'identity'",
            ],
        ),
        ({"where": {"label": 1}}, ["aggregate"]),
        ({"aggregate": "count", "windw": "7d"}, ["count.windw", "Extra inputs"]),
        ({"aggregate": "count", "window": "7 days"}, ["count.window", "'7 days'", "as in 7d"]),
        ({"aggregate": "count", "window": "0d"}, ["count.window", "above 0"]),
        ({"aggregate": "count", "window": 7}, ["count.window", "say the unit"]),
        ({"aggregate": "count", "where": {"tab": []}}, ["where.tab", "at least one value"]),
        ({"aggregate": "count", "where": {"tab": math.nan}}, ["where.tab", "not finite"]),
        ({"aggregate": "count", "where": {"tab": {"a": 1}}}, ["where.tab", "valid string"]),
        ({"aggregate": "rate", "where": {"label": 1}}, ["rate.where", "aggregate: count"]),
        ({"aggregate": "rate", "smoothing": -1}, ["rate.smoothing", "greater than or equal to 0"]),
        ({"aggregate": "mean"}, ["mean.of", "Field required"]),
        ({"aggregate": "mean", "of": "label"}, ["mean.of", "use aggregate: rate"]),
        ({"aggregate": "distinct", "by": "maker"}, ["distinct.by", "Extra inputs"]),
        ({"aggregate": "last", "by": "maker"}, ["last.by", "Extra inputs"]),
        ({"aggregate": "last", "n": 0}, ["last.n", "greater than or equal to 1"]),
        ({"aggregate": "last", "window": "7d"}, ["last.window", "Extra inputs"]),
        ({"aggregate": "identity", "where": {"label": 1}}, ["identity.where", "remove it"]),
        ({"aggregate": "profile"}, ["profile.of", "Field required"]),
        ({"aggregate": "profile", "of": "t", "words": 0}, ["profile.words", "equal to 1"]),
    ],
)
def test_bad_declaration_names_the_key_and_what_would_be_right(
    declaration: dict[str, object], says: list[str]
) -> None:
    with pytest.raises(ValidationError) as refused:
        STATISTIC.validate_python(declaration)
    for part in says:
        assert part in str(refused.value)


@pytest.mark.parametrize(
    ("where", "says"),
    [
        ({"tb": 1}, r"where\.tb: .* no such column; they have \['label', 'place', 'tab', 'time'\]"),
        ({"place": 1}, r"where\.place: got the number 1, .* holds text; write '1' in quotes"),
        ({"tab": "1"}, r"where\.tab: got the text '1', .* holds numbers; .* without quotes"),
    ],
)
def test_where_that_can_never_match_is_refused_with_the_remedy(
    where: dict[str, object], says: str
) -> None:
    seen = events(("a", 1, 0.0), tab=[1], place=["home"])
    with pytest.raises(ConfigError, match=says):
        Count.model_validate({"where": where}).fold(seen, 1.0)


def test_smoothed_rate_before_fitting_is_refused() -> None:
    with pytest.raises(SchemaError, match="prior is blank; fit it"):
        Rate(smoothing=1).fold(events(("a", 1, 0.0)), 1.0)
