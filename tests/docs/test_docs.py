"""The pages name what there is: every option of a run, its default, and every family member."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from export.contract.features import FeatureKind
from export.contract.side import Side
from export.contract.statistics import Aggregate
from training.config import TrainConfig

DOCS = Path(__file__).parents[2] / "docs"
TAGS = ("kind", "aggregate")


def models(kind: Any) -> Iterator[type[BaseModel]]:
    """Give every model that stands in an annotation, however deep."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        yield kind
    for argument in get_args(kind):
        yield from models(argument)


def reachable(model: type[BaseModel]) -> dict[str, type[BaseModel]]:
    """Return a model and all models below it, by name."""
    found = {model.__name__: model}
    for field in model.model_fields.values():
        for child in models(field.annotation):
            if child.__name__ not in found:
                found |= reachable(child)
    return found


def page_of(model: type[BaseModel]) -> str:
    if issubclass(model, FeatureKind):
        return "features.md"
    return "statistics.md" if issubclass(model, Aggregate) else "training.md"


OPTIONS = [
    pytest.param(page_of(model), name, field, id=f"{title}.{name}")
    for title, model in reachable(TrainConfig).items()
    if model is not Side
    for name, field in model.model_fields.items()
    if name not in (*TAGS, "statistic")
]
MEMBERS = [
    pytest.param(page_of(model), name, id=name)
    for model in reachable(TrainConfig).values()
    for tag in TAGS
    if tag in model.model_fields and get_origin(model.model_fields[tag].annotation) is Literal
    for name in get_args(model.model_fields[tag].annotation)
]


def lines(page: str, name: str) -> list[str]:
    """Return the lines of a page that name something in code quotes."""
    quoted = re.compile(rf"`(?:[\w.]+\.)?{re.escape(name)}`")
    return [line for line in (DOCS / page).read_text("utf-8").splitlines() if quoted.search(line)]


def written(default: object) -> str | None:
    """Return how a page writes a default; None for one that has no short text."""
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, str):
        return default
    return f"{default:g}" if isinstance(default, int | float) else None


def test_the_walk_finds_every_level() -> None:
    found = reachable(TrainConfig)
    assert {"ValidationConfig", "SelectConfig", "AdditiveConfig", "InBatch"} <= found.keys()
    assert {"Category", "Number", "Count", "Profile"} <= found.keys()
    assert len(OPTIONS) > 60


@pytest.mark.parametrize(("page", "name", "field"), OPTIONS)
def test_every_option_is_named_with_its_default(page: str, name: str, field: FieldInfo) -> None:
    named = lines(page, name)
    assert named, f"docs/{page} does not name `{name}`"
    default = None if field.is_required() else written(field.get_default())
    if default is not None and page == "training.md":
        whole = re.compile(rf"(?<![\w.]){re.escape(default)}(?![\w.]*\w)")
        assert any(whole.search(line) for line in named), f"`{name}`: default {default} is not said"


@pytest.mark.parametrize(("page", "name"), MEMBERS)
def test_every_family_member_is_named(page: str, name: str) -> None:
    assert lines(page, name), f"docs/{page} does not name `{name}`"


@pytest.mark.parametrize("group", [*Side.model_fields, "similarity", "cosine"])
def test_groups_and_similarity_are_named(group: str) -> None:
    assert lines("training.md", group)


@pytest.mark.parametrize("page", sorted(page.name for page in DOCS.glob("*.md")))
def test_links_between_pages_lead_somewhere(page: str) -> None:
    text = (DOCS / page).read_text("utf-8")
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
        if "://" not in target:
            assert (DOCS / target).exists(), f"docs/{page} links to {target}"
