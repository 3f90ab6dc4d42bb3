from typing import Any

import pytest

from export.contract.errors import ConfigError
from training.override import override


def config() -> dict[str, Any]:
    return {
        "losses": [{"kind": "in_batch_softmax", "temperature": 0.1}, {"kind": "other"}],
        "training": {"epochs": 10},
        "empty": None,
    }


@pytest.mark.parametrize(
    "path", ["losses.in_batch_softmax.temperature", "losses.0.temperature"], ids=["kind", "index"]
)
def test_a_list_member_is_named_by_kind_or_by_index(path: str) -> None:
    raw = config()
    override(raw, f"{path}=.05")
    assert raw["losses"] == [
        {"kind": "in_batch_softmax", "temperature": 0.05},
        {"kind": "other"},
    ]


def test_a_whole_member_can_be_replaced() -> None:
    raw = config()
    override(raw, "losses.1={kind: third}")
    assert raw["losses"][1] == {"kind": "third"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("5E2", 500.0),
        ("-.5e+1", -5.0),
        ("1", 1),
        (".05", 0.05),
        ("'1e-3'", "1e-3"),
        ("nan", "nan"),
        ("1e3x", "1e3x"),
        ("true", True),
        ("[1, 2]", [1, 2]),
        ("a=b", "a=b"),
        ("", None),
    ],
)
def test_a_value_is_yaml_and_scientific_numbers_are_numbers(text: str, value: object) -> None:
    raw = config()
    override(raw, f"training.epochs={text}")
    assert raw["training"]["epochs"] == value
    assert type(raw["training"]["epochs"]) is type(value)


@pytest.mark.parametrize("path", ["dropout.user", "empty.user"])
def test_a_missing_or_empty_level_is_made(path: str) -> None:
    raw = config()
    override(raw, f"{path}=0.4")
    assert raw[path.split(".")[0]] == {"user": 0.4}


@pytest.mark.parametrize(
    ("assignment", "told"),
    [
        ("training.epochs", "expected path=value"),
        ("=3", "expected path=value"),
        ("training..epochs=3", "expected path=value"),
        ("training.epochs=[1", "not YAML"),
        ("training.epochs.deep=1", "'deep' stands below a plain value"),
        ("losses.softmax.temperature=1", "no 'softmax' in the list; it holds"),
        ("losses.2.temperature=1", "no '2' in the list"),
        ("losses.-1.temperature=1", "no '-1' in the list"),
    ],
)
def test_a_path_that_leads_nowhere_is_refused(assignment: str, told: str) -> None:
    raw = config()
    with pytest.raises(ConfigError, match=told):
        override(raw, assignment)
    assert raw == config()


def test_a_kind_that_stands_twice_has_to_be_named_by_index() -> None:
    raw = {"losses": [{"kind": "a", "weight": 1}, {"kind": "a", "weight": 2}]}
    with pytest.raises(ConfigError, match="'a' stands there twice; name it by its index"):
        override(raw, "losses.a.weight=3")
    override(raw, "losses.1.weight=3")
    assert raw["losses"] == [{"kind": "a", "weight": 1}, {"kind": "a", "weight": 3}]
