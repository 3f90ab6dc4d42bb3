"""The plot of a tuned index: the recall of each setting tried, over what a search costs."""

from collections.abc import Mapping, Sequence
from typing import Any

from export.contract.manifest import IndexReport
from export.page.svg import colour_of, drawing, legend_below

Rungs = Sequence[Mapping[str, Any]]

MEASURED = ("near", "given", "cpu_us")
ASIDE = ("kind", "seed")  # settings that are the same for all that was tried


def recall_by_cost(report: IndexReport, climbed: str) -> str:
    """Draw recall@k over the CPU of one search, a line for each ladder and kind of queries.

    The target is a line across, and a ring is around what was chosen, the last that was tried,
    where its recall is lower.
    """
    with drawing("tuning", (9, 4)) as (figure, out):
        axes = figure.subplots()
        for number, (name, rungs) in enumerate(_ladders(report.curve, climbed).items()):
            cost = [rung["cpu_us"] for rung in rungs]
            style: Any = {"color": colour_of(number), "marker": "o", "markersize": 4}
            near = [rung["near"] for rung in rungs]
            axes.plot(cost, near, label=f"{name}: made queries", **style)
            given = [rung["given"] for rung in rungs]
            if None not in given:
                style |= {"linestyle": "--", "markerfacecolor": "white"}
                axes.plot(cost, given, label=f"{name}: users' vectors", **style)
        target = f"target {report.target_recall:g}"
        axes.axhline(report.target_recall, color="#444444", linestyle=":", label=target)
        chosen = report.curve[-1]
        axes.scatter(
            chosen["cpu_us"],
            recall_of(chosen),
            s=130,
            facecolors="none",
            edgecolors="#222222",
            label=f"chosen: {climbed} {chosen[climbed]}",
        )
        low = min(report.target_recall, *map(recall_of, report.curve))
        room = 0.07 * max(1 - low, 0.01)
        axes.set(xlabel="CPU of one search, us", ylabel=f"recall@{report.k}")
        axes.set(xlim=(0, None), ylim=(low - room, 1 + room))
        legend_below(figure, 2)
    return out.getvalue()


def recall_of(rung: Mapping[str, Any]) -> float:
    """Return the recall that has to meet the target: the lower of the two kinds of queries."""
    return float(rung["near"] if rung["given"] is None else min(rung["near"], rung["given"]))


def told(settings: Mapping[str, Any], without: str = "") -> str:
    """Return settings in words, without those that are the same for all that was tried."""
    left_out = (*ASIDE, *MEASURED, without)
    return ", ".join(f"{name} {value}" for name, value in settings.items() if name not in left_out)


def _ladders(curve: Rungs, climbed: str) -> dict[str, list[Mapping[str, Any]]]:
    """Return what was tried, by all settings but the one that climbs."""
    ladders: dict[str, list[Mapping[str, Any]]] = {}
    for rung in curve:
        ladders.setdefault(told(rung, without=climbed), []).append(rung)
    return ladders
