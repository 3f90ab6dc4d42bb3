from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import InvalidRecord
from service.http.http_date import http_date, unmodified_since


@given(st.datetimes(datetime(1970, 1, 1), datetime(9999, 1, 1), timezones=st.just(UTC)))
def test_a_written_date_is_read_back_as_the_second_that_had_begun(moment: datetime) -> None:
    read_s = unmodified_since([http_date(moment)])
    assert read_s == moment.replace(microsecond=0).timestamp()


@pytest.mark.parametrize(
    "text",
    [
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
    ],
)
def test_all_forms_of_the_standard_are_read(text: str) -> None:
    assert unmodified_since([text]) == 784_111_777


@pytest.mark.parametrize(
    "given",
    [
        [""],
        ["yesterday"],
        ["784111777"],
        ["1994-11-06T08:49:37Z"],
        ["Sun, 06 Nov 1994 08:49:37 +0100"],
        ["Sun, 31 Feb 1994 08:49:37 GMT"],
        ["Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 GMT"],
    ],
)
def test_what_is_no_date_is_named(given: list[str]) -> None:
    with pytest.raises(InvalidRecord, match="If-Unmodified-Since"):
        unmodified_since(given)


def test_a_condition_that_was_not_sent_is_none() -> None:
    assert unmodified_since([]) is None
