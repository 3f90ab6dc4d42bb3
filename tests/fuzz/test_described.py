"""The description against a real service, in short; `make fuzz` is the long form."""

from pathlib import Path

from tests.fuzz import statuses
from tests.fuzz.described import guarded, try_description

SEED = "1"


def test_whatever_is_asked_is_answered_as_described(tmp_path: Path) -> None:
    with guarded(tmp_path) as (served, key):
        options = ("--seed", SEED, "--max-examples", "2", "--phases", "examples,coverage,stateful")
        tried = try_description(served, key, tmp_path, *options)
        assert tried.is_good, tried.said[-8000:]
        assert len(tried.answered) > 100
        assert served.ask("GET", "/readyz")[0] == 200


def test_what_nobody_has_reached_is_listed_as_such() -> None:
    first, *others = statuses.documented()
    lines, missing = statuses.listed({"one": {first: 2}, "other": {first: 1, others[0]: 3}})
    assert missing == others[1:]
    assert lines[0].endswith("one 2, other 1")
    assert lines[2].endswith("NOBODY")
