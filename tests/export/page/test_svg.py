import re

import pytest

from export.page.svg import COLOURS, colour_of, drawing, legend_below


def drawn(name: str, label: str = "a line") -> str:
    with drawing(name, (4, 3)) as (figure, out):
        figure.subplots().plot([1, 2], [3, 4], marker="o", label=label)
        legend_below(figure)
    return out.getvalue()


def ids_of(svg: str) -> set[str]:
    return set(re.findall(r'<(?:clipPath|path) id="([^"]+)"', svg))


def test_a_plot_is_one_svg_that_is_the_same_again() -> None:
    assert drawn("one").startswith("<svg")
    assert drawn("one").rstrip().endswith("</svg>")
    assert drawn("one") == drawn("one")


def test_plots_of_different_names_share_no_id() -> None:
    assert ids_of(drawn("one"))
    assert not ids_of(drawn("one")) & ids_of(drawn("two"))


@pytest.mark.parametrize("label", ["$x_1$", "名", "a & b"])
def test_text_stays_text(label: str) -> None:
    assert f">{label.replace('&', '&amp;')}</text>" in drawn("one", label)


def test_twice_as_many_colours_as_there_are_differ() -> None:
    assert len({colour_of(number) for number in range(2 * len(COLOURS))}) == 2 * len(COLOURS)
