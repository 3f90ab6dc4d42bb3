"""The page of metrics, as its tables tell it."""

import re
from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "metrics.md"
ROW = re.compile(r"^\| `(firstsight_\w+)` \| (counter|gauge|histogram) \|([^|]*)\| ([^|]+) \|$")


@dataclass(frozen=True)
class Told:
    """A row of a table."""

    name: str
    kind: str
    labels: tuple[str, ...]
    meaning: str


def told() -> dict[str, Told]:
    """Return every row by the metric's name."""
    lines = [line for line in PAGE.read_text("utf-8").splitlines() if "`firstsight_" in line[:16]]
    found = [ROW.match(line) for line in lines]
    assert all(found), [line for line, one in zip(lines, found, strict=True) if one is None]
    rows = [
        Told(one[1], one[2], tuple(re.findall(r"`(\w+)`", one[3])), one[4])
        for one in found
        if one is not None
    ]
    assert len({row.name for row in rows}) == len(rows)
    return {row.name: row for row in rows}


def series() -> dict[str, set[str]]:
    """Return the labels that each series has, by the names that expressions may use."""
    found: dict[str, set[str]] = {}
    for row in told().values():
        labels = set(row.labels)
        if row.kind == "histogram":
            found[f"{row.name}_bucket"] = labels | {"le"}
            found[f"{row.name}_sum"] = found[f"{row.name}_count"] = labels
        else:
            found[row.name] = labels
    return found
