"""The page on bundles names what a bundle holds, and its example runs."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from export.contract.bundle import BundleLayout, IndexReport, Lineage, Manifest
from export.contract.ranker import RankerFacts
from export.contract.side import SIDES, TAKEN_NAMES, Record
from export.embedder import open_bundle
from tests.tiny import tiny_bundle

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "bundle.md").read_text("utf-8")


def test_every_member_is_named() -> None:
    layout = BundleLayout(Path())
    members = [layout.manifest, *layout.required, layout.index, layout.config, layout.concepts]
    members += [layout.item_vectors("<feature>"), *map(layout.tower_data, SIDES)]
    members += [layout.report, *layout.ranker_members]
    assert [path for path in members if f"`{path.as_posix()}`" not in PAGE] == []


@pytest.mark.parametrize("model", [Manifest, IndexReport, Lineage, RankerFacts])
def test_every_field_of_manifest_and_ranker_is_named(model: type[Manifest]) -> None:
    assert [name for name in model.model_fields if f"`{name}`" not in PAGE] == []


def test_every_taken_name_is_told() -> None:
    page = (DOCS / "features.md").read_text("utf-8")
    assert [name for name in TAKEN_NAMES if f"`{name}`" not in page] == []


def test_example_gives_the_vectors_of_the_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = tiny_bundle(tmp_path / "bundles")
    monkeypatch.chdir(tmp_path)
    example = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert example
    found: dict[str, np.ndarray] = {}
    exec(example[1], found)
    embedder = open_bundle(bundle)[1]
    preference: dict[str, Any] = {"recent": ["i1", "i2"], "taste": {"art": 2.0, "food": 1.0}}
    users: list[Record] = [
        {"country": "de", "age": 30.0, **preference},
        {"country": "fr", "tab": "1"},
    ]
    np.testing.assert_allclose(found["vectors"], embedder.embed("user", users), atol=1e-6)
    assert found["scores"].shape == (2, 40)
