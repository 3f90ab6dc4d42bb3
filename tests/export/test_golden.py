"""Golden queries hold no data of real users, and fail on whatever was not recorded."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from export.contract.errors import BundleError
from export.contract.run import RunLayout
from export.contract.side import SIDES, SideName
from export.contract.tables import read_records
from export.embedder import open_bundle
from export.golden import Golden, invented
from tests.export.forged import edit_json, sign
from tests.tiny import tiny_schema


def golden_of(bundle: Path) -> Golden:
    return Golden.model_validate_json((bundle / "golden.json").read_bytes())


@pytest.mark.parametrize("side", SIDES)
def test_invented_records_are_records_of_the_schema(side: SideName) -> None:
    schema = tiny_schema()
    records = invented(schema, side, 30)
    assert [schema.side(side).parse(record) for record in records] == records
    assert records[-1] == {}
    assert {name for record in records for name in record} == set(schema.side(side).features)


def test_no_real_user_is_in_a_bundle(exported: Path, run: RunLayout) -> None:
    bundle, _ = open_bundle(exported)
    users = read_records(run.users, bundle.schema.user, "user_id").records
    told = [user.record for user in golden_of(exported).users if user.record]
    assert told
    assert not [record for record in told if record in users]
    assert not list(exported.glob("users*"))


def test_both_sides_are_asked_with_and_without_preference(tiny: Path) -> None:
    golden = golden_of(tiny)
    for queries in (golden.users, golden.items):
        assert [one.present for one in queries] == [True, False] * (len(queries) // 2)
    assert {one.id for one in golden.items} >= {"i0", "i39"}


def change_vector(content: Any) -> None:
    content["users"][0]["vector"][0] += 0.001


def change_score(content: Any) -> None:
    content["users"][3]["scores"][2] += 0.001


def change_item(content: Any) -> None:
    content["items"][5]["vector"][1] -= 0.001


def swap_items(content: Any) -> None:
    content["items"][0]["id"], content["items"][2]["id"] = "i39", "i0"


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (change_vector, "user query 1 is off by 0.001"),
        (change_score, "user query 4: scores is off by 0.001"),
        (change_item, "item query 6 is off by 0.001"),
        (swap_items, r"item query \d: vectors.npy is off"),
        (lambda c: c["users"][0]["vector"].pop(), r"user query 1: got \(8,\), recorded \(7,\)"),
        (lambda c: c["users"][0]["items"].__setitem__(0, "zz"), "the catalogue lacks: 'zz'"),
        (lambda c: c["users"][0]["record"].update(colour=1), "feature 'colour'"),
        (lambda c: c.pop("items"), "items: Field required"),
        (lambda c: c["users"][0].update(vector=["x"]), r"users\.0\.vector"),
    ],
)
def test_other_answer_than_the_recorded_one_is_refused(
    spoilt: Path, spoil: Callable[[Any], object], message: str
) -> None:
    def change(content: Any) -> Any:
        spoil(content)
        return content

    edit_json(spoilt / "golden.json", change)
    sign(spoilt)
    with pytest.raises(BundleError, match=rf"golden\.json: .*{message}"):
        open_bundle(spoilt)


@pytest.mark.parametrize("content", ["", "[]", "{"])
def test_golden_queries_that_are_none_are_refused(spoilt: Path, content: str) -> None:
    (spoilt / "golden.json").write_text(content)
    sign(spoilt)
    with pytest.raises(BundleError, match=r"golden\.json: "):
        open_bundle(spoilt)
