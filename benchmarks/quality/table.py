"""The step `table`: what was measured, as Markdown between the marks of a page.

What was measured elsewhere and is on the page already stays as it is: a row, one of several seeds
where there is one seed here, and the tables of another content.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.machine import machine
from benchmarks.quality.case import Case
from benchmarks.quality.kept import kept_users, mean_users
from benchmarks.quality.models import MODELS, OURS
from benchmarks.quality.page import between, part_of
from benchmarks.quality.protocols.base import Published
from benchmarks.quality.result import Arrays, Result
from benchmarks.quality.rivals import RIVALS
from training.bootstrap import Paired, paired_bootstrap
from training.search import LINES

NONE = "–"
SPREAD = re.compile(r"\(-?\d*\.\d+–")
"""What `_figure` writes of several seeds, and of nothing else."""
SLICES = {
    "warm": "warm",
    "cold_item": "cold item",
    "cold_user": "cold user",
    "cold_both": "both cold",
    "all": "all competing",
}


@dataclass(frozen=True)
class Scored:
    """One scorer's results of a case, a seed each, and the trials its options had.

    by_user: by `slice/figure` each user's [users], the mean over seeds. Ours may have been measured
    elsewhere: then it has these, and no runs.
    """

    name: str
    runs: Sequence[Result]
    trials: int
    by_user: Arrays

    def values(self, place: str, name: str) -> list[float]:
        """Return a figure of a slice, by seed; nothing where it was not measured."""
        found = [run.figures.get(place, {}).get(name) for run in self.runs]
        return [one for one in found if one is not None]

    def users(self, place: str, name: str) -> NDArray[np.float64] | None:
        """Return the figure of each user [users], the mean over seeds."""
        return self.by_user.get(f"{place}/{name}")


def write_tables(cases: Sequence[Case], page: Path) -> None:
    """Replace what stands between the marks of each protocol that was measured.

    Raises:
        ConfigError: The page has no marks of a protocol.
    """
    text = page.read_text(encoding="utf-8")
    by_protocol: dict[str, list[Case]] = {}
    for case in cases:
        if any(case.finals.glob("*.json")):
            by_protocol.setdefault(case.protocol.name, []).append(case)
    for name, found in by_protocol.items():
        text = between(text, name, _section(found, part_of(text, name, page)), page)
    page.write_text(text, encoding="utf-8")


def scored(case: Case) -> list[Scored]:
    """Read what was measured of a case: ours, the presets, then the rivals."""
    groups: dict[str, list[Result]] = {}
    for path in sorted(case.finals.glob("*.json")):
        one = Result.read(path)
        groups.setdefault(one.scorer, []).append(one)
    return [
        Scored(name, groups[name], _trials(case, name), mean_users(groups[name]))
        for name in sorted(groups, key=_place)
    ]


def _place(name: str) -> tuple[int, str]:
    """Return where a scorer's row stands."""
    order = [*MODELS, *(rival.name for rival in RIVALS)]
    return order.index(name.partition("+")[0]), name


def _section(cases: Sequence[Case], before: str) -> str:
    protocol, told = cases[0].protocol, machine()
    lines = [protocol.described, ""]
    lines += [f"Machine: {told['cpu']}, {told['cores']} cores, {told['system']}.", ""]
    measured = {case.content: case for case in cases}
    for content, one in protocol.contents.items():
        described = f"**{one.described}**\n"
        told_before = _of_content(before, described)
        if content not in measured:
            lines += [told_before.strip(), ""] if told_before else []
            continue
        lines += [described] if len(protocol.contents) > 1 else []
        case, found = measured[content], scored(measured[content])
        for place in protocol.slices:
            lines += [*_table(case, place, found, (told_before or before).splitlines()), ""]
    return "\n".join(lines)


def _of_content(before: str, described: str) -> str:
    """Return what a page has of one content, with its heading; nothing where it has none."""
    _, heading, rest = before.partition(described)
    return heading + rest.partition("\n**")[0]


def _table(case: Case, place: str, found: Sequence[Scored], before: Sequence[str]) -> list[str]:
    """Return one slice's table: a row each, ours less it behind its figures."""
    names, compared = case.protocol.figures, _compared(case)
    counts = [one.runs[0].figures.get(place, {}).get("users") for one in found]
    users = next((count for count in counts if count), None)
    head = [f"{SLICES[place]}, {users} users", *names]
    head += [f"{_ours(case, name)} less it, {name} [95 %]" for name in compared]
    head += ["trials", "seconds"]
    ours = {name: _compared_from(case, found, _ours(case, name)) for name in compared}
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    rows = _rows_below(lines[0], before)
    for one in found:
        cells = [one.name, *(_figure(one.values(place, name)) for name in names)]
        cells += [_difference(ours[name], one, place, name) for name in compared]
        seconds = np.mean([run.seconds for run in one.runs])
        cells += [str(one.trials or NONE), f"{seconds:.0f}"]
        if len(one.runs) > 1 or not SPREAD.search(rows.get(one.name, "")):
            rows[one.name] = "| " + " | ".join(cells) + " |"
    lines += [rows[name] for name in sorted(rows, key=_place)]
    for said in case.protocol.published:
        if any(where == place for where, _ in said.figures) and said.content in (
            None,
            case.content,
        ):
            lines.append(_published(said, place, names, len(compared)))
    return lines


def _rows_below(head: str, before: Sequence[str]) -> dict[str, str]:
    """Return the rows of scorers that a page has below a head, by name."""
    if head not in before:
        return {}
    known = {*MODELS, *(rival.name for rival in RIVALS)}
    rows = takewhile(lambda line: line.startswith("|"), before[before.index(head) + 2 :])
    named = {row.split(" | ", 1)[0].removeprefix("| "): row for row in rows}
    return {name: row for name, row in named.items() if name.partition("+")[0] in known}


def _ours(case: Case, name: str) -> str:
    """Return the name of what of ours a figure is compared from."""
    head = case.protocol.head
    return f"{OURS}+{head}" if head and name == "gauc" else OURS


def _compared_from(case: Case, found: Sequence[Scored], ours: str) -> Scored | None:
    """Return ours as it was measured here, or as it was kept."""
    if (one := next((one for one in found if one.name == ours), None)) is not None:
        return one
    kept = kept_users(case, ours)
    return None if kept is None else Scored(ours, [], 0, kept)


def _compared(case: Case) -> list[str]:
    """Return the figures that intervals are told of: recall and GAUC."""
    return [one for one in case.protocol.figures if one == "gauc" or one.startswith("recall")]


def _published(said: Published, place: str, names: Sequence[str], compared: int) -> str:
    figures = [said.figures.get((place, name), NONE) for name in names]
    cells = [f"{said.name} ({said.remark})", *figures, *[NONE] * compared, NONE, NONE]
    return "| " + " | ".join(cells) + " |"


def _figure(values: Sequence[float]) -> str:
    """Return the mean and, of several seeds, the lowest and the highest."""
    if not values:
        return NONE
    mean = _short(float(np.mean(values)))
    several = len(values) > 1
    return f"{mean} ({_short(min(values))}–{_short(max(values))})" if several else mean


def _difference(ours: Scored | None, other: Scored, place: str, name: str) -> str:
    """Return the difference over users, with its interval; ours less the other."""
    found = None if ours is None or ours is other else difference(ours, other, place, name)
    if found is None:
        return NONE
    return f"{found.difference:+.4f} [{found.low:+.4f}, {found.high:+.4f}]"


def difference(ours: Scored, other: Scored, place: str, name: str) -> Paired | None:
    """Compare two scorers' users by paired bootstrap; None where one was not measured so."""
    mine, theirs = ours.users(place, name), other.users(place, name)
    if mine is None or theirs is None or not len(mine):
        return None
    weights = ours.users(place, "rows") if name == "gauc" else None
    return paired_bootstrap(mine, [theirs], weights=weights)[0]


def _trials(case: Case, name: str) -> int:
    name = name.partition("+")[0]
    searches = case.model_searches if name in MODELS else case.searches
    path = searches / name / LINES
    return len(path.read_text("utf-8").splitlines()) if path.is_file() else 0


def _short(value: float) -> str:
    return f"{value:.4f}".replace("0.", ".", 1)
