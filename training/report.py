"""What training and evaluation show: a progress bar on a terminal, plain lines elsewhere."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column, Table
from rich.text import Text

from training.choice import SELECTED
from training.run import Reporter
from training.slices import FEW_SHOT, SLICES


@contextmanager
def reporting(console: Console) -> Iterator[Reporter]:
    """Give a reporter that shows a run on this console."""

    def epoch(figures: dict[str, Any]) -> None:
        recall = ", ".join(f"{name} {figures[name]:.4f}" for name in SLICES if name in figures)
        console.print(
            f"epoch {figures['epoch']}: loss {figures['loss']:.4f}; validation recall@100: "
            f"{recall}; selected {figures['selected']:.4f}",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )

    def note(text: str) -> None:
        console.print(text, highlight=False, markup=False, soft_wrap=True)

    if not console.is_terminal:
        yield Reporter(note=note, epoch=epoch)
        return
    columns = (TextColumn("step"), MofNCompleteColumn(), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, TextColumn("loss {task.fields[loss]:.4f}"), console=console) as bar:
        task = bar.add_task("train", loss=float("nan"), total=None)

        def step(number: int, steps: int, loss: float) -> None:
            bar.update(task, completed=number, total=steps, loss=loss)

        yield Reporter(note=note, epoch=epoch, step=step)


def tables(found: dict[str, Any]) -> Iterator[Table]:
    """Give the tables of one evaluation document; the runs' figures are means over them."""
    buckets = [one.name for one in FEW_SHOT]
    recall = ("recall@100", "ndcg@100")
    yield _by_slice("recall@100 / ndcg@100", found, "slices", SLICES, recall)
    counts = "recall@100 by rows that the item, or the user, had before test"
    yield _by_slice(counts, found, "slices", buckets, ("recall@100",))
    yield _by_slice("AUC / GAUC of exposed rows", found, "rows", SLICES, ("auc", "gauc"))
    if found["ranker"]:
        yield _rankers(found["ranker"])
    yield _lists(found)
    yield _paired(found)
    if "validation" in found:
        yield _validation(found["validation"])


def told_choice(validation: dict[str, Any]) -> str:
    """Say in a line which configuration of a comparison validation takes."""
    name = validation["chosen"]
    if name is None:
        return "chosen on validation: none, all are equal there"
    mean, ends = (validation[part][name][SELECTED] for part in ("mean", "spread"))
    seeds = f" ({number(ends[0])} to {number(ends[1])} over seeds)" if ends[0] < ends[1] else ""
    return f"chosen on validation: {name}, selected {number(mean)}{seeds}"


def names(found: dict[str, Any]) -> dict[str, str]:
    """Return what each scorer is called: the model by its run, or by how many seeds it had."""
    runs = found["runs"]
    own = runs[0] if len(set(runs)) == 1 else f"{runs[0]} and {len(runs) - 1} more"
    return {scorer: own if scorer == "model" else scorer for scorer in found["slices"]}


def _by_slice(
    title: str, found: dict[str, Any], part: str, order: Sequence[str], keys: Sequence[str]
) -> Table:
    figures, called = found[part], names(found)
    slices = [one for one in order if any(one in by for by in figures.values())]
    table = Table(_whole(), *slices, title=title)
    for scorer, by_slice in figures.items():
        cells = (by_slice.get(one, {}) for one in slices)
        texts = (" / ".join(number(cell[key]) for key in keys) if cell else "" for cell in cells)
        table.add_row(Text(called[scorer]), *texts)
    return table


def _rankers(figures: dict[str, Any]) -> Table:
    slices = [one for one in SLICES if any(one in of["mean"] for of in figures.values())]
    table = Table("", *slices, title="GAUC of exposed rows: the towers' scores, and the rankers'")
    for scorer, of in figures.items():
        cells = [of["mean"].get(one) for one in slices]
        table.add_row(Text(scorer), *(number(cell["gauc"]) if cell else "" for cell in cells))
    return table


def _validation(figures: dict[str, Any]) -> Table:
    mean, spread = figures["mean"], figures["spread"]
    slices = validated_slices(figures)
    table = Table(_whole(), *slices, title="recall@100 on validation, lowest-highest seed below")
    for name, of in mean.items():
        cells = []
        for one in slices:
            low, high = spread[name][one] or (None, None)
            ends = "" if low == high else f"\n{number(low)}-{number(high)}"
            cells.append(f"{number(of[one])}{ends}")
        table.add_row(Text(name), *cells)
    return table


def _whole() -> Column:
    """Return a column for names, which are never cut off."""
    return Column("", overflow="fold")


def validated_slices(figures: dict[str, Any]) -> list[str]:
    """Return the slices that validation has figures of, and what selects, in order."""
    first = next(iter(figures["mean"].values()))
    return [one for one in (*SLICES, SELECTED) if one in first]


def _lists(found: dict[str, Any]) -> Table:
    called = names(found)
    keys = ("coverage@100", "cold_share@100", "diversity@100")
    share = next(iter(found["lists"].values()))["cold_candidates"]
    title = f"the first 100 of every user (cold items are {number(share)} of the catalogue)"
    table = Table("", *keys, title=title)
    for scorer, figures in found["lists"].items():
        table.add_row(Text(called[scorer]), *(number(figures[key]) for key in keys))
    return table


def _paired(found: dict[str, Any]) -> Table:
    own = names(found)["model"]
    slices = [one for one in SLICES if any(one in by for by in found["paired"].values())]
    title = Text.assemble(
        "recall@100 of ", own, " less that of another: share of resamples won, 95 % interval"
    )
    table = Table("", *slices, title=title)
    for rival, by_slice in found["paired"].items():
        cells = (by_slice.get(one) for one in slices)
        table.add_row(Text(rival), *(difference(cell) if cell else "" for cell in cells))
    return table


def difference(one: dict[str, float]) -> str:
    """Write a paired difference in two lines: the value and who won, then the interval.

    A dash where no user's recall differs, as where every list holds all candidates: nobody won.
    """
    if not (one["difference"] or one["low"] or one["high"]):
        return "—"
    low, high = (f"{one[key]:+.3f}" for key in ("low", "high"))
    return f"{one['difference']:+.3f}, won {one['won']:.0%}\n{low} to {high}"


def number(figure: float | None) -> str:
    """Write a figure with four places; a dash where there is none."""
    return "-" if figure is None else f"{figure:.4f}"
