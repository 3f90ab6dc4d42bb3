"""The page on EasyRec names every field that is mapped, noted or refused."""

import re
from pathlib import Path

import pytest

from tests.training.easyrec.made import easyrec, plan_of
from tests.training.easyrec.test_losses import HARD
from training.easyrec.fields import NOTED, REFUSED
from training.easyrec.towers import FIELDS, KINDS

PAGE = (Path(__file__).parents[2] / "docs" / "easyrec.md").read_text("utf-8")
NAMED = set(re.findall(r"`(\w+)`", PAGE))


@pytest.mark.parametrize("table", [NOTED, REFUSED])
def test_every_field_that_is_not_mapped_is_named(table: dict[str, dict[str, str]]) -> None:
    assert {name for fields in table.values() for name in fields} - NAMED == set()


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_that_is_mapped_is_named(kind: str, tmp_path: Path) -> None:
    plan = plan_of(easyrec(kind, data="" if kind == "DropoutNet" else HARD), tmp_path, rows=900)
    mapped = {entry.place.split(".")[-1] for entry in plan.ledger.of("mapped")}
    assert mapped - NAMED == set()


@pytest.mark.parametrize("kind", KINDS)
def test_every_model_and_its_tower_are_named(kind: str) -> None:
    assert f"{kind} (`{FIELDS[kind]}`) | `{KINDS[kind]}`" in PAGE
