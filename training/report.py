"""What training and evaluation show: a progress bar on a terminal, plain lines elsewhere."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from training.run import Reporter
from training.slices import SLICES


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


def tables(found: dict[str, Any], name: str = "model") -> Iterator[Table]:
    """Give the tables of one evaluation: recall and ndcg by slice, then AUC and GAUC.

    `name` stands for the scorer `model`.
    """
    yield _table("recall@100 / ndcg@100", found["slices"], ("recall@100", "ndcg@100"), name)
    yield _table("AUC / GAUC of exposed rows", found["rows"], ("auc", "gauc"), name)


def _table(
    title: str,
    figures: dict[str, dict[str, dict[str, float | None]]],
    pair: tuple[str, str],
    name: str,
) -> Table:
    slices = [one for one in SLICES if any(one in by for by in figures.values())]
    table = Table("", *slices, title=title)
    for scorer, by_slice in figures.items():
        cells = (by_slice.get(one, {}) for one in slices)
        texts = (" / ".join(_text(cell[key]) for key in pair) if cell else "" for cell in cells)
        table.add_row(Text(name if scorer == "model" else scorer), *texts)
    return table


def _text(figure: float | None) -> str:
    return "-" if figure is None else f"{figure:.4f}"
