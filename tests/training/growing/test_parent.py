"""What a schema that goes on keeps of an earlier one, and what is of the new data."""

from pathlib import Path

import pytest

from export.contract.schema import Schema
from tests.training.growing.conftest import grown_config, grown_of, parent_of
from training.config import parse_config
from training.prepare import prepare, with_validation


@pytest.fixture(scope="module")
def schemas(early: Path, later: Path) -> tuple[Schema, Schema, Schema]:
    """Return the early schema, the one that goes on from it, and one of the later world alone."""
    raw, grown = grown_config(early), grown_config(later)
    parent = parent_of(raw, early, grown, later)
    alone = prepare(parse_config(grown, later / "train.yaml")).schema
    return parent.schema, grown_of(grown, later, parent).schema, alone


@pytest.mark.parametrize(
    ("side", "name", "learned"),
    [
        ("item", "weight_kg", ("mean", "scale")),
        ("item", "length_s", ("buckets",)),
        ("item", "shown", ("mean", "scale")),
        ("user", "click_rate", ("mean", "scale")),
    ],
)
def test_a_number_means_what_it_did_whatever_the_new_data_are_like(
    schemas: tuple[Schema, Schema, Schema], side: str, name: str, learned: tuple[str, ...]
) -> None:
    early, grown, alone = (getattr(one, side).features[name] for one in schemas)
    for option in learned:
        assert getattr(grown, option) == getattr(early, option)
        assert getattr(grown, option) != getattr(alone, option)


def test_a_prior_is_a_statistic_and_so_of_the_new_data(
    schemas: tuple[Schema, Schema, Schema],
) -> None:
    priors = [getattr(one.user.features["click_rate"].statistic, "prior", None) for one in schemas]
    assert priors[1] == priors[2]
    assert priors[0] != priors[1]


def test_new_words_follow_in_the_order_of_any_vocabulary(
    schemas: tuple[Schema, Schema, Schema],
) -> None:
    early, grown, alone = (one.tables for one in schemas)
    for table, words in grown.items():
        new = words[len(early[table]) :]
        assert list(new) == [one for one in alone[table] if one not in early[table]]
    assert grown["item"] != alone["item"]


def test_validation_rows_add_words_behind_those_too(early: Path, later: Path) -> None:
    raw, grown = grown_config(early), grown_config(later)
    prepared = grown_of(grown, later, parent_of(raw, early, grown, later))
    assert prepared.parent is not None
    before, whole = prepared.parent.schema.tables, with_validation(prepared).schema.tables
    assert len(whole["item"]) > len(prepared.schema.tables["item"])
    assert all(whole[table][: len(words)] == words for table, words in before.items())


def test_other_options_of_a_number_are_learned_anew(early: Path, later: Path) -> None:
    raw, grown = grown_config(early), grown_config(later)
    grown["item"]["content"]["length_s"]["buckets"] = 3
    grown["item"]["preference"]["clicks_7d"]["window"] = "3d"
    schema = grown_of(grown, later, parent_of(raw, early, grown, later)).schema
    alone = prepare(parse_config(grown, later / "train.yaml")).schema
    for name in ("length_s", "clicks_7d"):
        assert schema.item.features[name] == alone.item.features[name]
