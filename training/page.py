"""The report of an evaluation: one HTML file that asks nothing of the network."""

from collections import Counter
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from training import plots
from training.curve import curve_of
from training.report import difference, names, number, told_choice, validated_slices
from training.slices import FEW_SHOT, SLICES

STYLE = """
:root { color-scheme: light; --ink: #1c1c1c; --soft: #666; --line: #ddd; --mark: #0072b2; }
body { font: 15px/1.5 system-ui, "Segoe UI", Roboto, "Noto Sans", sans-serif; color: var(--ink);
  max-width: 66rem; margin: 2.5rem auto; padding: 0 1.5rem; background: #fff; }
h1 { font-size: 1.7rem; margin: 0 0 .3rem; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 2.6rem 0 .4rem; }
p { margin: .3rem 0 .8rem; } p.soft, figcaption, caption { color: var(--soft); }
figure { margin: 0; } figcaption, caption { font-size: .87rem; text-align: left; }
caption { padding-bottom: .4rem; max-width: calc(100vw - 3rem); }
svg { width: 100%; height: auto; font-family: inherit; min-width: 38rem; }
.beside { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(22rem, 100%), 1fr));
  gap: 2rem; } .beside > * { min-width: 0; } .beside svg { min-width: 22rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .87rem; margin: .8rem 0 1.4rem; width: 100%; }
th, td { padding: .3rem .6rem; border-bottom: 1px solid var(--line); text-align: right;
  font-variant-numeric: tabular-nums; white-space: nowrap; vertical-align: top; }
th:first-child { text-align: left; white-space: normal; overflow-wrap: anywhere; min-width: 9rem; }
thead th { border-bottom: 2px solid var(--line); font-weight: 600; }
tbody th { font-weight: 400; } tr.own th, tr.own td { font-weight: 600; }
small { color: var(--soft); display: block; font-weight: 400; }
td.better { color: #00663d; } td.worse { color: #a33c00; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1rem; font-size: .9rem; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
"""
POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def page(found: dict[str, Any]) -> str:
    """Return an evaluation document as a page; every name in it is escaped."""
    called = names(found)
    title = escape(found["vary"]["path"] if "vary" in found else called["model"])
    body = "\n".join(
        (
            f"<h1>{title}</h1>",
            _facts(found),
            *([_section("What validation takes", _chosen(found))] if "validation" in found else []),
            _section("Recall by slice", _recall(found, called)),
            _section("Against the others, user by user", _paired(found, called)),
            _section("By what an item, or a user, has behind it", _few_shot(found, called)),
            _section("What lists hold", _lists(found, called)),
            _section("Warm and cold items", _looks(found)),
            _section("Rows that were shown", _orders(found, called)),
            _section("Training", _training(found)),
        )
    )
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}: evaluation</title>\n"
        f"<style>{STYLE}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


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
    members = "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in facts.items())
    return f"<dl>{members}</dl>"


def _chosen(found: dict[str, Any]) -> str:
    """Return validation's figures, and of a varied option the curve, with test's beside it."""
    validation, drawn = found["validation"], ""
    if "vary" in found:
        drawn = _drawn(
            plots.recall_by_value(curve_of(found)),
            "recall@100 over the values: what is chosen, at the dotted line, is read from "
            "validation; test stands beside it. Whiskers reach from the lowest to the highest "
            "seed.",
        )
    heads, rows = validated_slices(validation), []
    for name, mean in validation["mean"].items():
        spread = validation["spread"][name]
        cells = "".join(_cell(mean[one], spread[one]) for one in heads)
        own = ' class="own"' if name == validation["chosen"] else ""
        rows.append(f"<tr{own}>{_head(name)}{cells}</tr>")
    table = _table("recall@100 on validation; selected is by training.select", heads, rows)
    return f"<p>{escape(told_choice(validation))}</p>{drawn}{table}"


def _recall(found: dict[str, Any], called: dict[str, str]) -> str:
    slices = _there(found["slices"]["model"], SLICES)
    drawn = _drawn(
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
    drawn = _drawn(
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
        rows.append(f"<tr>{_head(called[rival])}{''.join(cells)}</tr>")
    title = (
        f"recall@100 of {called['model']} less that of each other scorer: difference, 95 % "
        "interval over resampled users, share of resamples won"
    )
    return _table(title, there, rows)


def _lists(found: dict[str, Any], called: dict[str, str]) -> str:
    keys = ("coverage@100", "cold_share@100", "diversity@100")
    share = found["lists"]["model"]["cold_candidates"]
    rows = []
    for scorer, figures in found["lists"].items():
        spread = found["spread"]["lists"].get(scorer, {})
        cells = (_cell(figures[key], spread.get(key)) for key in keys)
        rows.append(_row(scorer, called, cells))
    title = f"the first 100 places of every test user; cold items are {share:.1%} of the catalogue"
    return _table(title, keys, rows)


def _looks(found: dict[str, Any]) -> str:
    scores = _drawn(
        plots.score_distributions(found["scores"]),
        "Scores of the first run: where cold items lie lower than warm ones, they lose places "
        "that their content may deserve.",
    )
    items = _drawn(
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
    return _drawn(plots.training_curves(found["training"]), "One line for each seed.")


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
    return _table(f"{title}; in brackets the users", heads, rows)


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
    own = ' class="own"' if scorer == "model" else ""
    return f"<tr{own}>{_head(called[scorer])}{''.join(cells)}</tr>"


def _head(name: str) -> str:
    return f'<th scope="row">{escape(name)}</th>'


def _table(title: str, heads: Sequence[str], rows: Sequence[str]) -> str:
    columns = "".join(f'<th scope="col">{escape(one)}</th>' for one in heads)
    return (
        f'<div class="wide"><table><caption>{escape(title)}</caption>'
        f"<thead><tr><th></th>{columns}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _section(title: str, content: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{content}</section>"


def _drawn(svg: str, caption: str) -> str:
    caption = f"<figcaption>{escape(caption)}</figcaption>"
    return f'<figure><div class="wide">{svg}</div>{caption}</figure>'


def _there(found: dict[str, Any], names: Sequence[str]) -> list[str]:
    return [name for name in names if name in found]
