from pathlib import Path
from typing import Any

import pytest

from export.contract.errors import ConfigError
from tests.training.conftest import dat_config
from training.config import parse_config


def told(**changes: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_config(dat_config(Path()) | changes, Path("train.yaml"))
    return str(caught.value)


@pytest.mark.parametrize("side", ["user", "item"])
def test_a_loss_of_augmented_vectors_needs_them_on_both_sides(side: str) -> None:
    message = told(**{f"{side}_tower": {"kind": "additive", "dim": 16}})
    assert f"losses.mimic: reads augmented vectors of both sides, and the {side} tower" in message
    assert "'additive' has none; take kind: dat for tower" in message


@pytest.mark.parametrize("category", ["topic", "tags", "length_s", "own_id", "region"])
def test_an_alignment_of_anything_but_categories_of_items_is_told_those_there_are(
    category: str,
) -> None:
    message = told(losses=[{"kind": "category_alignment", "category": category}])
    assert f"losses.category_alignment: got {category!r}, expected an item feature" in message
    assert message.endswith("there is maker")


def test_without_any_category_it_says_so() -> None:
    item = dat_config(Path())["item"]
    del item["content"]["maker"]
    user = dat_config(Path())["user"]
    del user["preference"]["makers"]
    assert told(item=item, user=user).endswith("there is none")
