"""The page of quality has a place for each protocol, and names what stands in its tables."""

from pathlib import Path

import pytest

from benchmarks.quality.case import CONFIGS
from benchmarks.quality.protocols import PROTOCOLS
from benchmarks.quality.rivals import RIVALS

PAGE = (Path(__file__).parents[2] / "docs" / "quality.md").read_text("utf-8")


@pytest.mark.parametrize("name", [one.name for one in PROTOCOLS])
def test_every_protocol_has_its_marks_once(name: str) -> None:
    assert PAGE.count(f"<!-- {name}: begin -->") == PAGE.count(f"<!-- {name}: end -->") == 1


@pytest.mark.parametrize("name", [one.name for one in RIVALS])
def test_every_rival_is_said_to_be_something(name: str) -> None:
    assert f"| `{name}` | " in PAGE


def test_every_content_has_its_configuration() -> None:
    contents = [one for protocol in PROTOCOLS for one in protocol.contents.values()]
    asked = {name for one in contents for name in (one.config, one.rows) if name is not None}
    assert asked == {path.stem for path in CONFIGS.glob("*.yaml")}
