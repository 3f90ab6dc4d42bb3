"""What the figures come to: ratios within a round, over all rounds, beside their targets."""

from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

from benchmarks import targets
from benchmarks.recall_http.load import Seen
from benchmarks.recall_http.rounds import Round
from benchmarks.targets import Target


def parts_us(found: Round, connections: int) -> float:
    """Return the CPU of the bare parts of one recall: route, read, run, search."""
    parts, route = found.parts, found.seen[f"parts 1 c={connections}"].cpu_us
    return route + parts[f"read c={connections}"] + parts["tower"] + parts["search"]


def _per_s(one: str, other: str) -> Callable[[Round], float]:
    return lambda found: found.seen[one].per_s / found.seen[other].per_s


def _over_parts(connections: int) -> Callable[[Round], float]:
    name = f"ours 1 c={connections}"
    return lambda found: found.seen[name].cpu_us / parts_us(found, connections)


TARGETS: tuple[Target[Round], ...] = (
    Target("CPU of a request over that of its bare parts, c=32", _over_parts(32), 0.75),
    Target("CPU of a request over that of its bare parts, c=1", _over_parts(1), 1.25),
    Target(
        "requests/s over idiomatic, one worker each, c=32",
        _per_s("ours 1 c=32", "idiomatic 1 c=32"),
        3.0,
        is_least=True,
    ),
    Target(
        "requests/s over idiomatic, two workers each, c=32",
        _per_s("ours 2 c=32", "idiomatic 2 c=32"),
        6.0,
        is_least=True,
    ),
    Target(
        "requests/s over tuned, one worker each, c=32",
        _per_s("ours 1 c=32", "tuned 1 c=32"),
        1.6,
        is_least=True,
    ),
    Target(
        "p99 at 50 % of capacity over the median at c=1",
        lambda found: found.seen["ours 1 at 50 %"].p99_ms / found.seen["ours 1 c=1"].p50_ms,
        3.0,
    ),
    Target(
        "requests/s of two workers over one, c=32",
        _per_s("ours 2 c=32", "ours 1 c=32"),
        1.55,
        is_least=True,
    ),
    Target(
        "CPU of a request of two workers over one, c=32",
        lambda found: found.seen["ours 2 c=32"].cpu_us / found.seen["ours 1 c=32"].cpu_us,
        1.1,
    ),
)


def ratios(rounds: Sequence[Round]) -> list[dict[str, Any]]:
    """Return each ratio beside its target."""
    return targets.ratios(TARGETS, rounds)


def medians(rounds: Sequence[Round]) -> dict[str, Any]:
    """Return the median over the rounds of each figure: of a machine and its other work."""
    loads = {
        name: {field: _middle([one.seen[name] for one in rounds], field) for field in FIELDS}
        for name in rounds[0].seen
    }
    names = rounds[0].parts
    parts = {name: round(median(one.parts[name] for one in rounds), 1) for name in names}
    return {"loads": loads, "bare parts (us of CPU)": parts}


FIELDS = tuple(Seen.model_fields)


def _middle(seen: Sequence[Seen], field: str) -> float:
    figures: list[float] = [getattr(one, field) for one in seen]
    return round(median(figures), 3)
