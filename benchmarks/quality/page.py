"""A page of the docs, parts of which a step writes."""

import re
from pathlib import Path

from export.contract.errors import ConfigError


def between(text: str, name: str, found: str, page: Path) -> str:
    """Return a page's text with other lines between the marks of a name.

    Raises:
        ConfigError: The page does not have the marks once.
    """
    part_of(text, name, page)
    return _whole(name).sub(lambda part: f"{part[1]}\n{found}\n{part[3]}", text)


def part_of(text: str, name: str, page: Path) -> str:
    """Return what stands in a page between the marks of a name.

    Raises:
        ConfigError: The page does not have the marks once.
    """
    parts = _whole(name).findall(text)
    if len(parts) != 1:
        begin, end = _marks(name)
        raise ConfigError(f"{page}: expected {begin} and {end} once")
    return str(parts[0][1])


def _whole(name: str) -> re.Pattern[str]:
    begin, end = (re.escape(mark) for mark in _marks(name))
    return re.compile(f"({begin})(.*?)({end})", re.DOTALL)


def _marks(name: str) -> tuple[str, str]:
    return f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
