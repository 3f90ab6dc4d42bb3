"""A page of the docs, parts of which a step writes."""

import re
from pathlib import Path

from export.contract.errors import ConfigError


def between(text: str, name: str, found: str, page: Path) -> str:
    """Return a page's text with other lines between the marks of a name.

    Raises:
        ConfigError: The page does not have the marks once.
    """
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    whole = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    if len(whole.findall(text)) != 1:
        raise ConfigError(f"{page}: expected {begin} and {end} once")
    return whole.sub(lambda _: f"{begin}\n{found}\n{end}", text)
