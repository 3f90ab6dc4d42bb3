"""Plots as inline SVG of one look; whatever names they hold is text."""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#666666")
"""Told apart by those who see colours differently: Okabe and Ito, 2008."""
STYLE = {
    "svg.fonttype": "none",  # text stays text: the page's own font, and small files
    "text.parse_math": False,  # a `$` in a name is a `$`
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#999999",
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.labelpad": 7,
    "grid.color": "#e4e4e4",
    "legend.frameon": False,
    "legend.fontsize": 9,
}


@contextmanager
def drawing(name: str, size: tuple[float, float]) -> Iterator[tuple[Figure, io.StringIO]]:
    """Give a figure to draw on, and where its SVG will stand afterwards.

    `name` keeps the ids within this SVG apart from those of others on the page.
    """
    out = io.StringIO()
    style: Any = STYLE | {"svg.hashsalt": name}
    with mpl.rc_context(style), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # the browser's font has it
        figure = Figure(figsize=size, layout="constrained")
        yield figure, out
        whole = io.StringIO()
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(whole, format="svg", transparent=True, metadata=nothing)
    text = whole.getvalue()
    out.write(text[text.index("<svg") :])


def colour_of(number: int) -> str:
    """Return a colour of its own for each of twice as many as there are: then darker ones."""
    red, green, blue = to_rgb(COLOURS[number % len(COLOURS)])
    depth = 1.0 if number < len(COLOURS) else 0.45
    return to_hex((red * depth, green * depth, blue * depth))


def legend_below(figure: Figure, columns: int = 3) -> None:
    """Put the legend of all axes below them, in so many columns."""
    figure.legend(loc="outside lower center", ncols=columns, markerscale=1.5)
