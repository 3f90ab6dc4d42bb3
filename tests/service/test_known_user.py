"""What a request and the store know of a user, joined."""

from typing import Any

import pytest

from export.contract.concepts import ConceptTable
from export.contract.side import Side
from service.known_user import AskedUser, UserReader
from service.records import UserRecord
from tests.service.made import made_generation, unit_vectors

GENERATION = made_generation(unit_vectors(6, seed=1))


def reader(**preference: Any) -> UserReader:
    """Return a reader of users with a region and its click rate in content."""
    side = Side.model_validate(
        {
            "content": {
                "region": {"kind": "category"},
                "region_rate": {
                    "kind": "number",
                    "aggregate": "rate",
                    "by": "region",
                    "standardise": False,
                },
            },
            **preference,
        }
    )
    schema = GENERATION.schema.model_copy(update={"user": side})
    concepts = ConceptTable(schema, {("user", "region_rate"): {"north": 0.25}})
    return UserReader(side, GENERATION, concepts)


def asked(**given: Any) -> AskedUser:
    """Return what a request says of user u."""
    user = given.pop("user", {})
    settled = frozenset(given.pop("settled", user))
    fields: dict[str, Any] = {"user_id": "u", "context": {}, "history": None}
    return AskedUser(**{**fields, "user": user, "settled": settled, **given})


@pytest.mark.parametrize(
    ("stored", "inline", "settled", "record"),
    [
        ({"region": "north"}, {}, [], {"region": "north", "region_rate": 0.25}),
        ({}, {"region": "north"}, ["region"], {"region": "north", "region_rate": 0.25}),
        ({"region": "north", "region_rate": 0.5}, {}, [], {"region": "north", "region_rate": 0.5}),
        ({"region": "north"}, {}, ["region_rate"], {"region": "north"}),
        ({"region": "south"}, {}, [], {"region": "south"}),
    ],
)
def test_user_is_told_what_their_concept_knows_unless_the_request_does(
    stored: dict[str, Any], inline: dict[str, Any], settled: list[str], record: dict[str, Any]
) -> None:
    known = reader().read(asked(user=inline, settled=settled), {"u": UserRecord("u", stored)})
    assert known.record == record
    assert known.state == "cold"


COUNTED = {
    "preference": {
        "recent": {"kind": "sequence", "aggregate": "last", "n": 5, "table": "item"},
        "seen": {"kind": "number", "aggregate": "count", "standardise": False},
    },
    "present_when": "interactions >= 3",
}


@pytest.mark.parametrize(
    ("preference", "request_of", "state"),
    [
        ({"recent": ["i1"], "seen": 2.0}, {}, "cold"),
        ({"recent": ["i1"], "seen": 3.0}, {}, "warm"),
        ({"recent": ["i1"]}, {}, "warm"),  # nothing tells how many there are
        ({"recent": ["i1"], "seen": 2.0}, {"history": ["i1", "i2", "i3"]}, "warm"),
        ({"recent": ["i1"], "seen": 3.0}, {"history": ["i1"]}, "warm"),
        ({}, {"history": ["i1", "i2", "i3"]}, "warm"),
        ({}, {"history": ["i1", "i2", "gone"]}, "cold"),
        ({"recent": ["i1"], "seen": 9.0}, {"cold": True}, "cold"),
        ({"recent": ["i1"], "seen": 2.0}, {"user": {"seen": 4.0}}, "warm"),
    ],
)
def test_preference_counts_from_the_interactions_asked_for(
    preference: dict[str, Any], request_of: dict[str, Any], state: str
) -> None:
    stored = UserRecord("u", {"region": "north"}, preference)
    known = reader(**COUNTED).read(asked(**request_of), {"u": stored})
    assert (known.state, known.dropped) == (state, [] if state == "warm" else ["preference"])
