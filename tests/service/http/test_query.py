from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from export.contract.tables import id_fault
from service.errors import InvalidRecord
from service.http.query import SimilarQuery, path_id, read_recall_query, read_similar_query
from service.settings import Limits

LIMITS = Limits()
IDS = st.text(min_size=1, max_size=40).filter(lambda text: id_fault(text) is None)


def faults(query: bytes, limits: Limits = LIMITS) -> list[str]:
    with pytest.raises(InvalidRecord) as caught:
        read_recall_query(query, limits)
    errors = caught.value.members["errors"]
    assert isinstance(errors, list)
    return [error["feature"] for error in errors]


def test_all_parameters_are_read() -> None:
    body = read_recall_query(
        b"user_id=u%201&k=7&cold=true&after=12-3&context.tab=1&context.hour=a+b", LIMITS
    )
    assert (body.user_id, body.k, body.cold, body.after) == ("u 1", 7, True, "12-3")
    assert body.context == {"tab": "1", "hour": "a b"}


@given(st.lists(IDS, max_size=8), IDS)
def test_any_id_survives_the_query(exclude: list[str], user: str) -> None:
    query = f"user_id={quote(user, safe='')}&exclude=" + ",".join(
        quote(one, safe="") for one in exclude
    )
    body = read_recall_query(query.encode(), LIMITS)
    assert body.user_id == user
    assert body.exclude == exclude


@given(IDS)
def test_any_id_survives_the_path(one: str) -> None:
    assert path_id(quote(one, safe="")) == one


def test_exclude_may_be_repeated_and_a_comma_separates() -> None:
    body = read_recall_query(b"user_id=u&exclude=a,b&exclude=c%2Cd,,e&exclude=", LIMITS)
    assert body.exclude == ["a", "b", "c,d", "e"]


def test_similar_items_are_asked_for_with_some_of_the_parameters() -> None:
    asked = read_similar_query(b"k=7&after=12-3&exclude=a,b%2C", LIMITS)
    assert asked == SimilarQuery(7, ["a", "b,"], "12-3")
    assert read_similar_query(b"", LIMITS) == SimilarQuery(None, [], None)
    for query in (b"user_id=u", b"context.tab=1", b"cold=true"):
        with pytest.raises(InvalidRecord, match="one of k, exclude, after"):
            read_similar_query(query, LIMITS)


def test_a_plus_is_a_space_in_a_query_and_itself_in_a_path() -> None:
    assert read_recall_query(b"user_id=a+b%2B", LIMITS).user_id == "a b+"
    assert path_id("a+b") == "a+b"


@pytest.mark.parametrize(
    ("query", "named"),
    [
        (b"user_id=u&limit=3", ["limit"]),
        (b"user_id=u&limit=3&rank=best", ["limit", "rank"]),
        (b"k=3", ["user_id"]),
        (b"", ["user_id"]),
        (b"user_id=u&user_id=v", ["user_id"]),
        (b"user_id=u&context.tab=1&context.tab=2", ["context.tab"]),
        (b"user_id=%FF", ["user_id"]),
        (b"user_id=u&exclude=%C3", ["exclude"]),
        (b"user_id=u&%FF=1", ["query string"]),
        (b"user_id=u&k=ten", ["k"]),
        (b"user_id=u&k=-1", ["k"]),
        (b"user_id=u&k=1_0", ["k"]),
        ("user_id=u&k=٣".encode(), ["k"]),
        (b"user_id=u&k=" + b"9" * 5000, ["k"]),
        (b"user_id=u&k=", ["k"]),
        (b"user_id=u&cold=yes", ["cold"]),
    ],
)
def test_a_parameter_at_fault_is_named(query: bytes, named: list[str]) -> None:
    assert faults(query) == named


def test_a_long_query_is_told_to_use_post() -> None:
    query = b"user_id=u&exclude=" + b"a," * 5000
    with pytest.raises(InvalidRecord, match="POST /recall"):
        read_recall_query(query, LIMITS)
    assert len(read_recall_query(query, Limits(query_bytes=20_000)).exclude) == 5000


@pytest.mark.parametrize("raw", ["%FF", "%C3%28", "a%00b", "%1F", "", "x" * 257, "%0A", "%C2%85"])
def test_what_is_no_id_is_refused_in_a_path(raw: str) -> None:
    with pytest.raises(InvalidRecord, match="id"):
        path_id(raw)


def test_an_encoded_slash_belongs_to_the_id() -> None:
    assert path_id("a%2Fsimilar") == "a/similar"
    assert path_id("..%2F..%2Fetc") == "../../etc"
