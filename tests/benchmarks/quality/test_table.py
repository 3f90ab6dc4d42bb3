import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.quality.case import Case
from benchmarks.quality.final import final
from benchmarks.quality.models import OURS
from benchmarks.quality.result import Result
from benchmarks.quality.select import select
from benchmarks.quality.table import difference, scored, write_tables
from export.contract.errors import ConfigError
from tests.benchmarks.quality.conftest import case_of

MARKS = "# Page\n<!-- {0}: begin -->\nwritten before\n<!-- {0}: end -->\nkept\n"
CHEAP = {"random", "popularity", "content_neighbours", "wmf"}


def silent(text: str) -> None:
    """Tell nobody."""


def measured(prepared: Path, work: Path, name: str) -> Case:
    """Measure cheap rivals, and put the best of them in the place of ours."""
    shutil.copytree(prepared / name, work / name)
    case = case_of(work, name)
    select(case, CHEAP, 1, silent)
    final(case, CHEAP, [1, 2], silent)
    for seed in (1, 2):
        one = Result.read(case.finals / "content_neighbours-1.json")
        replace(one, scorer=OURS, seed=seed).write(case.finals, "made")
    return case


def marked(folder: Path, case: Case, before: str = "written before") -> Path:
    """Return a page with the marks of a protocol, and its tables in the place of what was there."""
    page = folder / "quality.md"
    text = MARKS.format(case.protocol.name).replace("written before", before)
    page.write_text(text, encoding="utf-8")
    write_tables([case], page)
    return page


def rows(page: Path) -> dict[str, list[str]]:
    lines = [one for one in page.read_text("utf-8").splitlines() if one.startswith("| ")]
    cells = [[cell.strip() for cell in one.strip("|").split("|")] for one in lines]
    return {one[0]: one[1:] for one in cells}


def test_the_page_tells_means_seeds_intervals_trials_and_what_was_published(
    prepared: Path, tmp_path: Path
) -> None:
    case = measured(prepared, tmp_path, "citeulike_cold")
    page = marked(tmp_path, case)
    text, found = page.read_text("utf-8"), rows(page)
    assert "written before" not in text
    assert text.startswith("# Page\n")
    assert text.endswith("kept\n")
    for said in ("different public content", "post-hoc content (tags were given by savers)"):
        assert said in text
    (head,) = [name for name in found if name.startswith("cold item, ")]
    columns = found[head]
    assert columns[:4] == ["recall@20", "recall@100", "ndcg@20", "ndcg@100"]
    less = [f"ours less it, recall@{k} [95 %]" for k in (20, 100)]
    assert columns[4:] == [*less, "trials", "seconds"]
    ours, chance = found[OURS], found["random"]
    assert ours[4:6] == ["–", "–"]
    assert found["content_neighbours"][4:6] == ["+0.0000 [+0.0000, +0.0000]"] * 2
    assert found["content_neighbours"][6] == "1"
    assert chance[6] == "–"
    assert "(" in found["wmf"][0]  # two seeds, so the lowest and the highest
    assert "(" not in chance[0]
    published = [name for name in found if "published" in name]
    assert len(published) == 2
    assert ".6493" in found[next(one for one in published if one.startswith("DropoutNet"))]


def test_gauc_is_told_and_compared_where_rows_were_shown(prepared: Path, tmp_path: Path) -> None:
    case = measured(prepared, tmp_path, "movielens")
    page = marked(tmp_path, case)
    assert "ours less it, gauc [95 %]" in page.read_text("utf-8")
    everyone = {one.name: one for one in scored(case)}
    found = difference(everyone[OURS], everyone["random"], "warm", "gauc")
    assert found is not None
    figure = everyone[OURS].values("warm", "gauc")[0]
    assert found.difference == pytest.approx(figure - 0.5)
    assert found.low <= found.difference <= found.high


@pytest.mark.parametrize(("head", "from_"), [(None, OURS), ("din", f"{OURS}+din")])
def test_gauc_is_compared_from_the_protocols_head(
    prepared: Path, tmp_path: Path, head: str | None, from_: str
) -> None:
    case = measured(prepared, tmp_path, "movielens")
    ranked = {f"{OURS}+din": "popularity", f"{OURS}+base": "random"}
    for scorer, stands_in in ranked.items():
        one = Result.read(case.finals / f"{stands_in}-1.json")
        replace(one, scorer=scorer).write(case.finals, "made")
    page = tmp_path / "quality.md"
    page.write_text(MARKS.format("movielens"), encoding="utf-8")
    write_tables([replace(case, protocol=replace(case.protocol, head=head))], page)
    text, found = page.read_text("utf-8"), rows(page)
    assert "| ours less it, recall@" in text
    places = found[next(name for name in found if name.startswith("all competing, "))]
    at = places.index(f"{from_} less it, gauc [95 %]")
    assert found[from_][at] == "–"
    assert (found["popularity"][at] == "+0.0000 [+0.0000, +0.0000]") == (head == "din")
    assert found[f"{OURS}+base"][at] != "–"


def test_a_difference_is_of_the_users_means_over_seeds(prepared: Path, tmp_path: Path) -> None:
    everyone = {one.name: one for one in scored(measured(prepared, tmp_path, "citeulike_cold"))}
    ours, wmf = everyone[OURS], everyone["wmf"]
    found = difference(ours, wmf, "cold_item", "recall@10")
    assert found is not None
    means = [np.mean(one.values("cold_item", "recall@10")) for one in (ours, wmf)]
    assert found.difference == pytest.approx(means[0] - means[1])


def test_a_page_without_the_marks_is_refused(prepared: Path, tmp_path: Path) -> None:
    case = measured(prepared, tmp_path, "citeulike_cold")
    page = tmp_path / "quality.md"
    page.write_text(MARKS.format("movielens"), encoding="utf-8")
    with pytest.raises(ConfigError, match="citeulike_cold: begin"):
        write_tables([case], page)


def test_what_is_measured_is_measured_once_for_the_same_options(
    prepared: Path, tmp_path: Path
) -> None:
    case = measured(prepared, tmp_path, "citeulike_cold")
    told: list[str] = []
    final(case, CHEAP, [1, 2], told.append)
    assert told == []
    path = case.searches / "wmf" / "best.json"
    options = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps({**options, "size": 50}), encoding="utf-8")
    final(case, CHEAP, [1, 2], told.append)
    assert len(told) == 2
    assert all("wmf-" in one for one in told)


def test_a_row_of_several_seeds_stays_where_one_was_measured_here(
    prepared: Path, tmp_path: Path
) -> None:
    case = measured(prepared, tmp_path, "citeulike_cold")
    page = marked(tmp_path, case)
    before = rows(page)
    for path in case.finals.glob("*-2.json"):
        path.unlink()
    one = Result.read(case.finals / "random-1.json")
    replace(one, seconds=one.seconds + 1000).write(case.finals, "made")
    write_tables([case], page)
    after = rows(page)
    assert after["wmf"] == before["wmf"]
    assert after["random"] != before["random"]  # of one seed on the page, too


def test_what_the_page_has_of_another_content_stays(prepared: Path, tmp_path: Path) -> None:
    case = measured(prepared, tmp_path, "citeulike_cold")
    titles = case.protocol.contents["titles"].described
    kept = f"**{titles}**\n\n| a table | of it |\n|---|---|\n| ours | .5 |"
    page = marked(tmp_path, case, f"before\n{kept}")
    for _ in range(2):
        text = page.read_text("utf-8")
        assert text.count(kept) == 1
        assert text.index("post-hoc content") < text.index(kept)
        write_tables([case], page)
