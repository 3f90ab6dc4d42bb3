"""The step `table`: what was measured, as Markdown between the marks of a page."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.machine import machine
from benchmarks.quality.case import Case
from benchmarks.quality.models import MODELS, OURS
from benchmarks.quality.page import between
from benchmarks.quality.protocols.base import Published
from benchmarks.quality.result import Result
from benchmarks.quality.rivals import RIVALS
from training.bootstrap import Paired, paired_bootstrap
from training.search import LINES

NONE = "–"
SLICES = {
    "warm": "warm",
    "cold_item": "cold item",
    "cold_user": "cold user",
    "cold_both": "both cold",
    "all": "all competing",
}


@dataclass(frozen=True)
class Scored:
    """One scorer's results of a case, a seed each, and the trials its options had."""

    name: str
    runs: Sequence[Result]
    trials: int

    def values(self, place: str, name: str) -> list[float]:
        """Return a figure of a slice, by seed; nothing where it was not measured."""
        found = [run.figures.get(place, {}).get(name) for run in self.runs]
        return [one for one in found if one is not None]

    def users(self, place: str, name: str) -> NDArray[np.float64] | None:
        """Return the figure of each user [users], the mean over seeds."""
        key = f"{place}/{name}"
        if any(key not in run.users for run in self.runs):
            return None
        mean: NDArray[np.float64] = np.mean([run.users[key] for run in self.runs], axis=0)
        return mean


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
        text = between(text, name, _section(found), page)
    page.write_text(text, encoding="utf-8")


def scored(case: Case) -> list[Scored]:
    """Read what was measured of a case: ours, the presets, then the rivals."""
    groups: dict[str, list[Result]] = {}
    for path in sorted(case.finals.glob("*.json")):
        one = Result.read(path)
        groups.setdefault(one.scorer, []).append(one)
    order = [*MODELS, *(rival.name for rival in RIVALS)]
    names = sorted(groups, key=lambda name: (order.index(name.partition("+")[0]), name))
    return [Scored(name, groups[name], _trials(case, name)) for name in names]


def _section(cases: Sequence[Case]) -> str:
    protocol, told = cases[0].protocol, machine()
    lines = [protocol.described, ""]
    lines += [f"Machine: {told['cpu']}, {told['cores']} cores, {told['system']}.", ""]
    for case in cases:
        several = len(protocol.contents) > 1
        lines += [f"**{protocol.contents[case.content].described}**", ""] if several else []
        found = scored(case)
        for place in protocol.slices:
            lines += [*_table(case, place, found), ""]
    return "\n".join(lines)


def _table(case: Case, place: str, found: Sequence[Scored]) -> list[str]:
    """Return one slice's table: a row each, ours less it behind its figures."""
    names, compared = case.protocol.figures, _compared(case)
    users = found[0].runs[0].figures.get(place, {}).get("users")
    head = [f"{SLICES[place]}, {users} users", *names]
    ours = {name: _compared_from(case, found, name) for name in compared}
    head += [f"{one.name if one else OURS} less it, {name} [95 %]" for name, one in ours.items()]
    head += ["trials", "seconds"]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for one in found:
        cells = [one.name, *(_figure(one.values(place, name)) for name in names)]
        cells += [_difference(ours[name], one, place, name) for name in compared]
        seconds = np.mean([run.seconds for run in one.runs])
        cells += [str(one.trials or NONE), f"{seconds:.0f}"]
        lines.append("| " + " | ".join(cells) + " |")
    for said in case.protocol.published:
        if any(where == place for where, _ in said.figures) and said.content in (
            None,
            case.content,
        ):
            lines.append(_published(said, place, names, len(compared)))
    return lines


def _compared_from(case: Case, found: Sequence[Scored], name: str) -> Scored | None:
    """Return what of ours a figure is compared from."""
    head = case.protocol.head
    ours = f"{OURS}+{head}" if head and name == "gauc" else OURS
    return next((one for one in found if one.name == ours), None)


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
