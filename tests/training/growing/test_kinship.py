from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.training.growing.conftest import grown_config
from training.config import parse_config
from training.growing.kinship import Kinship

Raw = dict[str, Any]
FOLDER = Path("nowhere")


def kinship(change: Callable[[Raw], object]) -> Kinship:
    """Hold a changed configuration against what it was before."""
    raw = grown_config(FOLDER)
    change(raw)
    known = parse_config(grown_config(FOLDER), FOLDER / "train.yaml")
    return Kinship.of(parse_config(raw, FOLDER / "train.yaml"), known)


def feature(side: str, group: str, name: str, **options: Any) -> Callable[[Raw], object]:
    return lambda raw: raw[side][group][name].update(options)


def moved(raw: Raw) -> None:
    raw["user"]["context"]["age"] = raw["user"]["content"].pop("age")


SAME: list[Callable[[Raw], object]] = [
    lambda raw: None,
    feature("user", "preference", "recent", n=99),
    feature("item", "content", "colour", words_from=["grey"]),
    feature("item", "content", "maker", min_count=9),
    feature("item", "content", "title", pooling="sqrtn"),
    lambda raw: raw["item"]["content"].update(colour={"kind": "category", "vocabulary": "learned"}),
]


@pytest.mark.parametrize("change", SAME)
def test_what_changes_no_meaning_and_no_row_goes_on(change: Callable[[Raw], object]) -> None:
    found = kinship(change)
    assert not any([*found.features.values(), *found.tables.values()])
    assert not found.is_none


@pytest.mark.parametrize(
    ("change", "features", "tables"),
    [
        (
            feature("item", "preference", "clicks_7d", window="1d"),
            {"item.preference.clicks_7d": "other aggregate there"},
            {},
        ),
        (
            feature("user", "preference", "click_rate", smoothing=9),
            {"user.preference.click_rate": "other aggregate there"},
            {},
        ),
        (moved, {"user.context.age": "in content there"}, {}),
        (
            feature("item", "content", "look", normalise=False),
            {"item.content.look": "other normalise there"},
            {},
        ),
        (
            feature("item", "content", "weight_kg", clip=[0, 5], mean=1.0),
            {"item.content.weight_kg": "other clip, mean there"},
            {},
        ),
        (
            feature("user", "content", "place", buckets=8),
            {},
            {"user.place": "other vocabulary there"},
        ),
        (feature("item", "content", "title", table="text"), {}, {"text": "absent there"}),
        (
            feature("item", "content", "mixed", of=["colour", "maker"]),
            {"item.content.mixed": "other of there"},
            {"item.mixed": "other of there"},
        ),
        (
            lambda raw: raw["tower"].update(dim=8),
            {"user.content.age": "width 16 there"},
            {"tag": "width 16 there"},
        ),
    ],
)
def test_what_means_something_else_begins_afresh(
    change: Callable[[Raw], object], features: dict[str, str], tables: dict[str, str]
) -> None:
    found = kinship(change)
    afresh = {name: why for name, why in found.features.items() if why}
    assert features.items() <= afresh.items()
    assert tables.items() <= {name: why for name, why in found.tables.items() if why}.items()
    if "width" not in str(features):
        assert len(afresh) == len(features)


def test_nothing_in_common_is_said_to_be_nothing() -> None:
    def other(raw: Raw) -> None:
        raw["user"] = {"content": {"x": {"kind": "category"}}}
        raw["item"] = {"content": {"y": {"kind": "category"}}}

    assert kinship(other).is_none
