"""What was found, as Markdown between the marks of a page."""

from collections.abc import Sequence
from pathlib import Path

from benchmarks.quality.page import between
from benchmarks.soak.scenario import Figures, Scenario

MARK = "soak"
HIDDEN = {"answers", "seed", "clients", "workers", "new_ids", "old_share", "posts"}
"""What the documents hold, and a page would only be long by."""


def write_page(scenarios: Sequence[type[Scenario]], results: Sequence[Figures], page: Path) -> None:
    """Replace what stands between the marks `soak` by a list of what each scenario has found.

    Raises:
        ConfigError: The page has no such marks.

    """
    kinds = {kind.name: kind for kind in scenarios}
    machine = results[0]["machine"]
    minutes = sum(one["figures"]["seconds"] for one in results) / 60
    on = f"{machine['cpu']}, {machine['cores']} cores, {machine['system']}"
    lines = [f"Machine: {on}. Together {minutes:.0f} minutes.", ""]
    lines += [
        "| scenario | what it does, with which parameters | what was found |",
        "|---|---|---|",
    ]
    for one in results:
        said = (kinds[one["name"]].__doc__ or "").splitlines()[0]
        faults = f"**{len(one['faults'])} broken promises**" if one["faults"] else "all held"
        cells = [one["name"], f"{said} {_listed(one['parameters'])}"]
        cells += [f"{faults}; {_listed(one['figures'])}"]
        lines.append("| " + " | ".join(cells) + " |")
    text = between(page.read_text(encoding="utf-8"), MARK, "\n".join(lines), page)
    page.write_text(text, encoding="utf-8")


def _listed(values: Figures) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items() if name not in HIDDEN)
