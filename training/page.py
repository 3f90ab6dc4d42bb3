"""The report of an evaluation: one HTML file that asks nothing of the network."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from export.page import html
from training import plots
from training.curve import curve_of
from training.report import difference, names, number, told_choice, validated_slices
from training.slices import FEW_SHOT, SLICES


def page(found: dict[str, Any]) -> str:
    """Return an evaluation document as a page; every name in it is escaped."""
    called = names(found)
    title = found["vary"]["path"] if "vary" in found else called["model"]
    parts = (
        _facts(found),
        *([html.section("What validation takes", _chosen(found))] if "validation" in found else []),
        html.section("Recall by slice", _recall(found, called)),
        html.section("Against the others, user by user", _paired(found, called)),
        html.section("By what an item, or a user, has behind it", _few_shot(found, called)),
        html.section("What lists hold", _lists(found, called)),
        html.section("Warm and cold items", _looks(found)),
        html.section("Rows that were shown", _orders(found, called)),
        html.section("Training", _training(found)),
    )
    return html.whole(title, "evaluation", parts)


def _facts(found: dict[str, Any]) -> str:
    rows = ", ".join(f"{count:,} {part}" for part, count in found["split"]["rows"].items())
    facts = {
        "runs": ", ".join(
            name if count == 1 else f"{name} ({count} seeds)"
            for name, count in Counter(found["runs"]).items()
        ),
        "split": f"{found['split']['kind']}: rows {rows}",
        "popularity": f"counts of {found['popularity']}, chosen on validation",
    }
    for side, groups in found["features"].items():
        for group, features in groups.items():
            facts[f"{side} {group}"] = ", ".join(features)
    return html.facts(facts)


def _chosen(found: dict[str, Any]) -> str:
    """Return validation's figures, and of a varied option the curve, with test's beside it."""
    validation, drawn = found["validation"], ""
    if "vary" in found:
        drawn = html.drawn(
            plots.recall_by_value(curve_of(found)),
            "recall@100 over the values: what is chosen, at the dotted line, is read from "
            "validation; test stands beside it. Whiskers reach from the lowest to the highest "
            "seed.",
        )
    heads, rows = validated_slices(validation), []
    for name, mean in validation["mean"].items():
        spread = validation["spread"][name]
        cells = (_cell(mean[one], spread[one]) for one in heads)
        rows.append(html.row(name, cells, is_own=name == validation["chosen"]))
    table = html.table("recall@100 on validation; selected is by training.select", heads, rows)
    return html.text(told_choice(validation)) + drawn + table


def _recall(found: dict[str, Any], called: dict[str, str]) -> str:
    slices = _there(found["slices"]["model"], SLICES)
    drawn = html.drawn(
        plots.recall_by_slice(found, called),
        "recall@100: cold-item and both-cold positives are searched among the cold items, all "
        "others among everything. Whiskers reach from the lowest to the highest seed.",
    )
    tables = [
        _scorers(found, called, "slices", slices, figure, f"{figure}, mean over users")
        for figure in ("recall@100", "recall@10", "ndcg@100", "mrr@100")
    ]
    return drawn + "".join(tables)


def _few_shot(found: dict[str, Any], called: dict[str, str]) -> str:
    drawn = html.drawn(
        plots.recall_by_rows(found["curve"], called, found["present_when"]["item"]),
        "recall@100 among everything, by the rows (shown or clicked) an item had before test. A "
        "dashed line is the first run with the preference of every item hidden: where it is above "
        "the solid one, preference does not help yet.",
    )
    tables = []
    for side in ("item", "user"):
        buckets = [one.name for one in FEW_SHOT if one.side == side]
        there = _there(found["slices"]["model"], buckets)
        title = f"recall@100 by rows that the {side} had before test"
        tables.append(_scorers(found, called, "slices", there, "recall@100", title))
    return drawn + "".join(tables)


def _paired(found: dict[str, Any], called: dict[str, str]) -> str:
    there = [one for one in SLICES if any(one in by for by in found["paired"].values())]
    rows = []
    for rival, by_slice in found["paired"].items():
        cells = [_difference(by_slice.get(name)) for name in there]
        rows.append(html.row(called[rival], cells))
    title = (
        f"recall@100 of {called['model']} less that of each other scorer: difference, 95 % "
        "interval over resampled users, share of resamples won"
    )
    return html.table(title, there, rows)


def _lists(found: dict[str, Any], called: dict[str, str]) -> str:
    keys = ("coverage@100", "cold_share@100", "diversity@100")
    share = found["lists"]["model"]["cold_candidates"]
    rows = []
    for scorer, figures in found["lists"].items():
        spread = found["spread"]["lists"].get(scorer, {})
        cells = (_cell(figures[key], spread.get(key)) for key in keys)
        rows.append(_row(scorer, called, cells))
    title = f"the first 100 places of every test user; cold items are {share:.1%} of the catalogue"
    return html.table(title, keys, rows)


def _looks(found: dict[str, Any]) -> str:
    scores = html.drawn(
        plots.score_distributions(found["scores"]),
        "Scores of the first run: where cold items lie lower than warm ones, they lose places "
        "that their content may deserve.",
    )
    items = html.drawn(
        plots.item_map(found["map"]),
        "Item vectors of the first run, by the rows an item had before test.",
    )
    return f'<div class="beside">{scores}{items}</div>'


def _orders(found: dict[str, Any], called: dict[str, str]) -> str:
    there = _there(found["rows"]["model"], SLICES)
    titles = {
        "auc": "AUC over all exposed test rows",
        "gauc": "GAUC: AUC within users, weighted by their rows",
    }
    return "".join(
        _scorers(found, called, "rows", there, figure, title) for figure, title in titles.items()
    )


def _training(found: dict[str, Any]) -> str:
    if not any(run["epochs"] for run in found["training"]):
        return '<p class="soft">The runs hold no figures of their training.</p>'
    return html.drawn(plots.training_curves(found["training"]), "One line for each seed.")


def _scorers(
    found: dict[str, Any],
    called: dict[str, str],
    part: str,
    slices: Sequence[str],
    figure: str,
    title: str,
) -> str:
    """Return one figure of every scorer on some slices, with its spread where it has seeds."""
    rows = []
    for scorer, by_slice in found[part].items():
        spread = found["spread"][part].get(scorer, {})
        cells = (
            _cell(by_slice[name][figure], spread[name][figure] if name in spread else None)
            for name in slices
        )
        rows.append(_row(scorer, called, cells))
    counts = [found[part]["model"][name]["users"] for name in slices]
    heads = [f"{name} ({users:,})" for name, users in zip(slices, counts, strict=True)]
    return html.table(f"{title}; in brackets the users", heads, rows)


def _cell(value: float | None, spread: Sequence[float] | None) -> str:
    ends = ""
    if spread and spread[0] != spread[1]:
        ends = f"<small>{spread[0]:.4f} to {spread[1]:.4f}</small>"
    return f"<td>{number(value)}{ends}</td>"


def _difference(one: dict[str, float] | None) -> str:
    if one is None:
        return "<td></td>"
    sure = "better" if one["low"] > 0 else "worse" if one["high"] < 0 else ""
    value, _, interval = difference(one).partition("\n")
    return f'<td class="{sure}">{value}<small>{interval}</small></td>'


def _row(scorer: str, called: dict[str, str], cells: Iterable[str]) -> str:
    return html.row(called[scorer], cells, is_own=scorer == "model")


def _there(found: dict[str, Any], names: Sequence[str]) -> list[str]:
    return [name for name in names if name in found]
