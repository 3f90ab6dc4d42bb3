from collections.abc import Mapping

from export.contract.side import Side
from service.history import fold_history, replaced
from tests.floats import floats

SIDE = Side.model_validate(
    {
        "content": {"country": {"kind": "category"}},
        "preference": {
            "recent": {"kind": "sequence", "aggregate": "last", "n": 3},
            "taste": {"kind": "tags", "aggregate": "profile", "of": "topics", "words": 2},
            "authors": {"kind": "tags", "aggregate": "profile", "of": "author"},
            "looks": {
                "kind": "vector",
                "aggregate": "item_vectors",
                "vectors": "looks.parquet",
                "n": 2,
            },
            "seen": {"kind": "number", "aggregate": "count", "where": {"label": [0, 1]}},
            "liked": {"kind": "number", "aggregate": "rate", "window": "7d"},
            "watched": {"kind": "sequence", "aggregate": "last", "where": {"tab": "video"}},
        },
    }
)


class Shop:
    """Three items with topics and an author each."""

    topics: Mapping[str, Mapping[str, float]] = {
        "a": {"art": 1.0, "cars": 0.5},
        "b": {"art": 1.0},
        "c": {"food": 1.0},
    }

    def __contains__(self, one: object) -> bool:
        return one in self.topics

    def words(self, feature: str, one: str) -> Mapping[str, float] | list[str] | None:
        if one not in self.topics:
            return None
        return self.topics[one] if feature == "topics" else [f"author of {one}"]

    def given_vector(self, feature: str, one: str) -> list[float] | None:
        assert feature == "looks"
        return {"a": [1.0, 3.0], "b": [2.0, 2.0], "c": []}.get(one)


def test_only_what_item_ids_alone_can_tell_is_replaced() -> None:
    assert replaced(SIDE) == {"recent", "taste", "authors", "looks"}


def test_a_history_gives_the_newest_items_and_the_words_they_share() -> None:
    folded, unknown = fold_history(["c", "a", "b", "b"], SIDE, Shop())
    assert folded == {
        "recent": ["a", "b", "b"],
        "taste": {"art": 3.0, "food": 1.0},
        "authors": {"author of b": 2.0, "author of a": 1.0, "author of c": 1.0},
        "looks": floats(2.0, 2.0),
    }
    assert unknown == 0


def test_unknown_items_leave_no_trace_and_no_gap() -> None:
    with_gaps, unknown = fold_history(["c", "?", "a", "b", "?", "b", "?"], SIDE, Shop())
    assert (with_gaps, unknown) == (fold_history(["c", "a", "b", "b"], SIDE, Shop())[0], 3)


def test_an_item_without_a_vector_counts_among_the_newest_only() -> None:
    assert fold_history(["b", "a", "c"], SIDE, Shop())[0]["looks"] == floats(1.0, 3.0)
    assert "looks" not in fold_history(["a", "c", "c"], SIDE, Shop())[0]


class Counter(Shop):
    """A shop that counts how often it is asked for an author."""

    asked = 0

    def words(self, feature: str, one: str) -> Mapping[str, float] | list[str] | None:
        self.asked += feature == "author"
        return super().words(feature, one)


def test_no_more_items_are_asked_for_their_words_than_count() -> None:
    short, long = Counter(), Counter()
    newest = ["b"] * 50
    expected = fold_history(newest, SIDE, short)[0]
    assert fold_history(["a", "c"] * 475 + newest, SIDE, long)[0] == expected
    assert long.asked == short.asked


def test_a_history_without_known_items_gives_nothing() -> None:
    assert fold_history([], SIDE, Shop()) == ({}, 0)
    assert fold_history(["?", "!"], SIDE, Shop()) == ({}, 2)
