import copy
import json
import re
import xml.etree.ElementTree as ElementTree
from typing import Any

import pytest

from export.contract.run import RunLayout
from export.page.svg import COLOURS
from tests.pages import check_asks_nothing, tags
from training.evaluate import evaluate
from training.page import page
from training.plots import place_of, recall_by_slice
from training.slices import SLICES
from training.subject import open_subject

HOSTILE = "<script>alert(\"x\")</script> $x_1$ & '名'"


@pytest.fixture(scope="module")
def found(trained: RunLayout) -> dict[str, Any]:
    subject = open_subject(trained.folder, None)
    return evaluate([subject, subject], {"runs/rival": [subject]})


def hostile(found: dict[str, Any]) -> dict[str, Any]:
    """Return the document with names that would like to be code."""
    changed = copy.deepcopy(found)
    changed["runs"] = [HOSTILE, "other"]
    for part in ("slices", "lists", "rows", "paired", "curve"):
        changed[part] = {n.replace("runs/rival", HOSTILE): v for n, v in changed[part].items()}
    changed["features"]["item"]["content"] = [HOSTILE]
    changed["training"][0]["run"] = HOSTILE
    changed["popularity"] = HOSTILE
    return changed


def test_the_page_is_whole_and_asks_nothing_of_the_network(found: dict[str, Any]) -> None:
    check_asks_nothing(page(found))


def test_names_that_would_like_to_be_code_are_text(found: dict[str, Any]) -> None:
    text = page(hostile(found))
    assert "script" not in {tag for tag, _ in tags(text)}
    assert "<script" not in text
    assert text.count("&lt;script&gt;") > 10, "in tables and in the plots"
    assert "$x_1$" in text, "no formula is made of a name"


def test_the_plots_are_svg_that_stand_apart(found: dict[str, Any]) -> None:
    drawn = re.findall(r"<svg.*?</svg>", page(hostile(found)), re.DOTALL)
    assert len(drawn) == 5
    clips = []
    for one in drawn:
        root = ElementTree.fromstring(one)
        clips.append({e.get("id") for e in root.iter() if e.tag.endswith("clipPath")})
        assert "metadata" not in one
    assert len(set().union(*clips)) == sum(len(one) for one in clips)


def test_the_page_says_what_the_document_says(found: dict[str, Any]) -> None:
    text = page(found)
    for scorer, slices in found["slices"].items():
        assert scorer == "model" or scorer in text
        for name in ("warm", "cold_item", "all", "item 1-5", "user >20"):
            if name in slices:
                assert f"{slices[name]['recall@100']:.4f}" in text
    for figures in found["lists"].values():
        assert f"{figures['coverage@100']:.4f}" in text
    assert f"{found['paired']['popularity']['warm']['low']:+.3f}" in text
    assert "one and 1 more" in page(found | {"runs": ["one", "other"]})
    assert "one and 1 more, items as if cold" in page(found | {"runs": ["one", "other"]})
    seeds = page(found | {"runs": ["ours", "ours"]})
    assert " more" not in seeds, "seeds of one preset"
    assert "ours (2 seeds)" in seeds


def test_twice_as_many_scorers_as_colours_are_told_apart(found: dict[str, Any]) -> None:
    many = {"model": found["slices"]["model"]}
    many |= {f"preset {number}": many["model"] for number in range(2 * len(COLOURS) - 1)}
    document = {"slices": many, "spread": {"slices": {}}}
    drawn = recall_by_slice(document, {name: name for name in many})
    assert len(set(re.findall(r"fill: (#[0-9a-f]{6})", drawn))) == len(many)


def test_a_page_can_be_made_of_the_json(found: dict[str, Any]) -> None:
    assert page(json.loads(json.dumps(found))) == page(found)


def test_equal_documents_make_equal_pages(found: dict[str, Any]) -> None:
    assert page(found) == page(copy.deepcopy(found))


def test_what_is_not_known_is_left_out(found: dict[str, Any]) -> None:
    bare = copy.deepcopy(found)
    bare["training"] = [{"run": "a", "epochs": []}]
    bare["scores"]["cold"] = None
    bare["lists"]["model"]["diversity@100"] = None
    bare["rows"]["model"]["all"]["auc"] = None
    for scorer in bare["slices"]:
        nothing = dict.fromkeys(bare["slices"][scorer]["warm"]) | {"users": 0}
        bare["slices"][scorer]["warm"] = nothing  # all of its positives were left out
        for part in ("slices", "rows"):
            bare[part][scorer].pop("cold_both", None)
    bare["spread"]["slices"]["model"]["warm"] = dict.fromkeys(nothing)
    text = page(bare)
    assert "The runs hold no figures of their training." in text
    assert "cold_both (" not in text


def test_present_when_is_marked_where_the_schema_has_it(found: dict[str, Any]) -> None:
    assert "preference counts from" not in page(found)
    marked = copy.deepcopy(found) | {"present_when": {"user": 0, "item": 7}}
    assert "preference counts from 7 on" in page(marked)


@pytest.mark.parametrize(
    ("rows", "place"),
    [(0, -0.5), (1, 0.5), (2, 1), (3, 1.5), (4, 1.5 + 1 / 3), (6, 2.5), (200, 2.5), (201, 2.5)],
)
def test_a_number_of_rows_has_its_place_on_the_axis(rows: int, place: float) -> None:
    labels = ["0", "1-2", "3-5", ">200"]  # no item of 6 to 200 rows has a positive
    assert place_of(rows, labels) == pytest.approx(place)


def test_a_difference_that_nobody_won_is_a_dash(found: dict[str, Any]) -> None:
    text = page(found)  # the rival is the very same run
    paired = text[text.index("Against the others") :]
    row = paired[paired.index("runs/rival</th>") :].partition("</tr>")[0]
    slices = [name for name in found["paired"]["runs/rival"] if name in SLICES]
    assert row.count("—") == row.count("<td") == len(slices) > 0
