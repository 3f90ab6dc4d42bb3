"""Plots of what the benchmarks have found, each an SVG that is an image of docs/benchmarks.md."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axis import Axis
from matplotlib.ticker import EngFormatter, NullFormatter

from export.page.svg import COLOURS, colour_of, drawing, legend_below

Found = Mapping[str, Any]

MET, MISSED = COLOURS[0], COLOURS[1]
ROW = 0.24
"""Inches of height of a ratio."""
WIDE = 10
"""So many times the least the most has to be for an axis that is logarithmic."""
MARKERS = "osD^vP*X"


def plots(results: Sequence[Found]) -> dict[str, str]:
    """Return each plot that the results have figures for, as SVG by its name."""
    drawn = {"targets": beside_targets(results)}
    for one in results:
        if one["name"] == "index":
            drawn["index"] = cost_by_recall(one["figures"]["rivals"])
        for one_growth in one["figures"].get("growth", ()):
            drawn[one_growth["of"]] = growth(one_growth)
    return {name: _on_white(svg) for name, svg in drawn.items()}


def _on_white(svg: str) -> str:
    """Give an image a ground of its own, since it is not told whether the page's is dark."""
    begun = svg.index(">") + 1
    return f'{svg[:begun]}<rect width="100%" height="100%" fill="white"/>{svg[begun:]}'


def beside_targets(results: Sequence[Found]) -> str:
    """Draw each ratio over its target, from the least to the most of the rounds.

    A target of `at least` is turned round, so that whatever is left of the line is met.
    """
    rows = [(one["name"], ratio) for one in results for ratio in one["figures"]["ratios"]]
    with drawing("targets", (10, 1 + ROW * len(rows))) as (figure, out):
        axes = figure.subplots()
        for at, (_, ratio) in enumerate(rows):
            low, middle, high = sorted(of_target(ratio, one) for one in ("least", "median", "most"))
            colour = MET if ratio["is"] == "met" else MISSED
            axes.plot((low, high), (at, at), color=colour, linewidth=1.5)
            axes.plot(middle, at, color=colour, marker="o", markersize=5)
        axes.axvline(1, color="#444444", linestyle=":")
        axes.set_xscale("log", base=2)
        _plain(axes.xaxis)
        axes.set_yticks(range(len(rows)), [f"{name}: {ratio['ratio']}" for name, ratio in rows])
        axes.set(ylim=(len(rows) - 0.5, -0.5), xlabel="of the target; met up to 1")
        axes.tick_params(axis="y", labelsize=8)
    return out.getvalue()


def of_target(ratio: Found, name: str) -> float:
    """Return the least, median or most of a ratio over its target, so that up to 1 it is met."""
    _, bound, limit = ratio["target"].split()
    value = max(float(ratio[name]), 1e-3)
    return value / float(limit) if bound == "most" else float(limit) / value


def cost_by_recall(rivals: Mapping[str, Found]) -> str:
    """Draw the CPU of a query over the recall@k that an index is set to, a line for each."""
    with drawing("index", (9, 4.4)) as (figure, out):
        axes = figure.subplots()
        for number, (name, one) in enumerate(rivals.items()):
            at = [found for found in one["at"].values() if found]
            axes.plot(
                [found["recall"] for found in at],
                [found["cpu_us"] for found in at],
                color=colour_of(number),
                marker=MARKERS[number % len(MARKERS)],
                markersize=5,
                label=name,
            )
        axes.set_yscale("log", base=2)
        _plain(axes.yaxis)
        axes.set(xlabel="recall@100", ylabel="CPU of a query, us")
        legend_below(figure, 5)
    return out.getvalue()


def growth(told: Found) -> str:
    """Draw each figure over the size; what is computed is hollow, by its law."""
    of, sizes = told["of"], told["sizes"]
    panels: dict[str, dict[str, list[tuple[int, float, bool]]]] = {}
    for size in sizes:
        for figure_of, value in size.items():
            index, _, name = figure_of.partition(": ")
            if name:
                line = panels.setdefault(name, {}).setdefault(index, [])
                line.append((size["n"], value, size["is"] == "measured"))
    with drawing(of, (10, 2.8 * ((len(panels) + 2) // 3))) as (figure, out):
        all_axes = figure.subplots((len(panels) + 2) // 3, 3, squeeze=False).ravel()
        for axes, (name, lines) in zip(all_axes, panels.items(), strict=False):
            for number, (index, points) in enumerate(lines.items()):
                at, values, measured = zip(*points, strict=True)
                filled = [colour_of(number) if one else "white" for one in measured]
                axes.plot(at, values, color=colour_of(number), linewidth=1, label=index)
                axes.scatter(at, values, c=filled, edgecolors=colour_of(number), zorder=3, s=22)
            axes.set_xscale("log")
            axes.xaxis.set_minor_formatter(NullFormatter())
            shown = [value for points in lines.values() for _, value, _ in points]
            if max(shown) > WIDE * min(shown):
                axes.set_yscale("log", base=2)
                _plain(axes.yaxis)
            else:
                axes.set_ylim(bottom=0)
            axes.xaxis.set_major_formatter(EngFormatter(sep=""))
            axes.set(xlabel=of, title=name)
            axes.title.set_fontsize(9)
        for axes in all_axes[len(panels) :]:
            axes.set_axis_off()
        handles, labels = all_axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=3)
    return out.getvalue()


def _plain(axis: Axis) -> None:
    """Tell the numbers of a logarithmic axis as they are, not as powers."""
    axis.set_major_formatter(lambda value, _: f"{value:,.4g}")
    axis.set_minor_formatter(NullFormatter())
