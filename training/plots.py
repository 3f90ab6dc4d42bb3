"""The plots of a report, each as one inline SVG; whatever names they hold is text."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from export.page.svg import COLOURS, colour_of, drawing, legend_below
from training.curve import Curve
from training.slices import FINE, SLICES

MATURITY = ("#d55e00", "#f0b35a", "#7fb4d6", "#004c80")  # from no rows to many
CURVE_TICKS = (0, 0.02, 0.05, 0.1, 0.2, 0.5, 1)


def training_curves(runs: Sequence[Mapping[str, Any]]) -> str:
    """Draw the loss and the validation recall@100 of each epoch; one line for each run."""
    with drawing("training", (9, 3.4)) as (figure, out):
        loss, recall = figure.subplots(1, 2)
        slices = [name for name in SLICES if any(name in e for r in runs for e in r["epochs"])]
        for number, run in enumerate(runs):
            epochs = [one["epoch"] for one in run["epochs"]]
            losses = [one["loss"] for one in run["epochs"]]
            loss.plot(epochs, losses, color=COLOURS[0], marker="o", markersize=3)
            for name, colour in zip(slices, COLOURS, strict=False):
                values = [one.get(name, np.nan) for one in run["epochs"]]
                label = None if number else name
                recall.plot(epochs, values, color=colour, marker="o", markersize=3, label=label)
        loss.set(xlabel="epoch", ylabel="loss of training")
        recall.set(xlabel="epoch", ylabel="recall@100 in validation", ylim=(0, None))
        for axes in (loss, recall):
            axes.xaxis.get_major_locator().set_params(integer=True)
        legend_below(figure, 5)
    return out.getvalue()


def recall_by_slice(found: Mapping[str, Any], called: Mapping[str, str]) -> str:
    """Draw recall@100 of each scorer on each slice; whiskers reach from lowest to highest seed."""
    figures, spread = found["slices"], found["spread"]["slices"]
    own = figures["model"]
    slices = [one for one in SLICES if one in own and own[one]["recall@100"] is not None]
    with drawing("slices", (9, 3.6)) as (figure, out):
        axes = figure.subplots()
        width = 0.8 / len(figures)
        for number, scorer in enumerate(figures):
            values = np.array([figures[scorer][name]["recall@100"] for name in slices])
            at = np.arange(len(slices)) + (number - (len(figures) - 1) / 2) * width
            axes.bar(at, values, width * 0.92, color=colour_of(number), label=called[scorer])
            if scorer in spread:
                ends = np.array([spread[scorer][name]["recall@100"] for name in slices]).T
                reach = np.abs(ends - values)
                axes.errorbar(at, values, reach, fmt="none", ecolor="#222222", capsize=2)
        axes.set_xticks(np.arange(len(slices)), [name.replace("_", " ") for name in slices])
        axes.set(ylabel="recall@100")
        axes.grid(visible=False, axis="x")
        legend_below(figure)
    return out.getvalue()


def recall_by_value(curve: Curve) -> str:
    """Draw recall@100 over an option's values, on validation and on test, a line for each slice.

    Whiskers reach from lowest to highest seed; what validation takes is marked in both.
    """
    with drawing("values", (9, 3.8)) as (figure, out):
        parts = {"validation": curve.validation, "test": curve.test}
        sides = figure.subplots(1, 2, sharey=True)
        for axes, (part, lines) in zip(sides, parts.items(), strict=True):
            for name, points in lines.items():
                mean, low, high = np.array(points).T
                reach, colour = np.array([mean - low, high - mean]), COLOURS[SLICES.index(name)]
                label = name if name not in curve.validation or part == "validation" else None
                style: Any = {"color": colour, "marker": "o", "markersize": 4, "capsize": 2}
                axes.errorbar(curve.x, mean, reach.clip(0), label=label, **style)
            axes.set(xlabel=curve.path, ylabel=f"recall@100, {part}")
            axes.set_ylim(bottom=0)
            if curve.is_log:
                axes.set_xscale("log")
            axes.set_xticks(curve.x, curve.labels or [f"{one:g}" for one in curve.x])
            axes.minorticks_off()
            if curve.chosen is not None:
                axes.axvline(curve.chosen, color="#444444", linestyle=":")
        legend_below(figure, 5)
    return out.getvalue()


def recall_by_rows(
    curve: Mapping[str, Mapping[str, Any]], called: Mapping[str, str], least: int
) -> str:
    """Draw recall@100 by the number of rows an item has had, and how many pairs that is.

    `least` is the number of rows from which on preference counts; it is marked unless 0.
    """
    points = curve["model"]
    labels = list(points)
    with drawing("curve", (9, 3.8)) as (figure, out):
        axes = figure.subplots()
        places = list(called)
        for scorer, found in curve.items():
            values = [found.get(label, {}).get("recall@100", np.nan) for label in labels]
            is_own = scorer not in called  # the model again, with its items as if cold
            colour = COLOURS[0] if is_own else colour_of(places.index(scorer))
            style = "--" if is_own else "-"
            name = called.get(scorer) or scorer.replace("model", called["model"], 1)
            axes.plot(labels, values, style, color=colour, marker="o", markersize=4, label=name)
        if least:
            axes.axvline(place_of(least, labels), color="#444444", linestyle=":")
            told = f" preference counts from {least} on"
            axes.annotate(
                told, (place_of(least, labels), 1), xycoords=("data", "axes fraction"), va="top"
            )
        ticks = [f"{label}\n{points[label]['pairs']:,}" for label in labels]
        axes.set_xticks(range(len(labels)), ticks)
        axes.set(xlabel="rows of the item before test; test positives", ylabel="recall@100 in all")
        axes.set_yscale("symlog", linthresh=0.05, linscale=0.6)  # where the new items are
        axes.set_yticks(CURVE_TICKS, [f"{one:g}" for one in CURVE_TICKS])
        axes.minorticks_off()
        axes.set_ylim(0, 1)
        legend_below(figure)
    return out.getvalue()


def score_distributions(scores: Mapping[str, Any]) -> str:
    """Draw how a run's scores are spread over warm and over cold items."""
    with drawing("scores", (4.6, 3.4)) as (figure, out):
        axes = figure.subplots()
        edges = np.array(scores["edges"])
        for name, colour in (("warm", COLOURS[0]), ("cold", COLOURS[1])):
            found = scores[name]
            if found is not None:
                label = f"{name}: mean {found['mean']:.3f}, deviation {found['deviation']:.3f}"
                density = np.array(found["share"]) / np.diff(edges)
                axes.stairs(density, edges, color=colour, fill=True, alpha=0.25)
                axes.stairs(density, edges, color=colour, label=label)
        axes.set(xlabel="score", ylabel="density", ylim=(0, None))
        legend_below(figure, 1)
    return out.getvalue()


def item_map(found: Mapping[str, Any]) -> str:
    """Draw the items in two dimensions, coloured by how many rows each has had."""
    with drawing("map", (4.6, 3.4)) as (figure, out):
        axes = figure.subplots()
        x, y, bucket = (np.array(found[key]) for key in ("x", "y", "bucket"))
        for number in reversed(range(len(found["labels"]))):
            mine = bucket == number
            if mine.any():
                label = f"{found['labels'][number]} rows"
                axes.scatter(
                    x[mine],
                    y[mine],
                    s=7,
                    color=MATURITY[number],
                    alpha=0.65,
                    linewidths=0,
                    label=label,
                )
        axes.set(xticks=[], yticks=[])
        axes.set_xlabel(f"first two principal components, {found['explained']:.0%} of the variance")
        axes.set_aspect("equal", "datalim")
        legend_below(figure, 4)
    return out.getvalue()


def place_of(rows: int, labels: Sequence[str]) -> float:
    """Return where a number of rows begins on an axis of the curve's buckets: 0 is the first's."""
    place = -0.5
    for number, label in enumerate(labels):
        bucket = next(one for one in FINE if one.label == label)
        if rows < bucket.low:
            break
        within = 1.0
        if bucket.high is None:
            within = min(1.0, (rows - bucket.low) / bucket.low)
        elif rows <= bucket.high:
            within = (rows - bucket.low) / (bucket.high - bucket.low + 1)
        place = number - 0.5 + within
    return place
