"""The lists of an audit: each line has its reason, each advisory its end; their form is checked."""

import subprocess
import sys
from pathlib import Path

import pytest

from deploy.audit.lists import IGNORED, LICENCES, IgnoredList, LicenceList, ListError, read
from deploy.lock import ROOT

GOOD = {
    "id": '"GHSA-aaaa-bbbb-cccc"',
    "package": '"leaf"',
    "reason": '"We never parse that."',
    "added": "2026-01-31",
    "until": "2026-03-31",
}


def written(folder: Path, *lines: dict[str, str]) -> Path:
    path = folder / "ignored.toml"
    parts = (f"{name} = {value}\n" for line in lines for name, value in [("", ""), *line.items()])
    path.write_text("".join(parts).replace(" = \n", "[[ignored]]\n"))
    return path


def test_ours_are_of_the_form() -> None:
    read(IGNORED, IgnoredList)
    assert read(LICENCES, LicenceList).allowed


def test_the_example_in_ours_is_of_the_form(tmp_path: Path) -> None:
    lines = IGNORED.read_text("utf-8").splitlines()
    example = lines[lines.index("# [[ignored]]") :]
    (tmp_path / "ignored.toml").write_text("\n".join(line.lstrip("# ") for line in example))
    assert len(read(tmp_path / "ignored.toml", IgnoredList).ignored) == 1


def test_a_good_line_is_read(tmp_path: Path) -> None:
    [line] = read(written(tmp_path, GOOD), IgnoredList).ignored
    assert (line.id, line.until.isoformat()) == ("GHSA-aaaa-bbbb-cccc", "2026-03-31")


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"reason": '""'}, "expected a sentence"),
        ({"reason": '"later"'}, "expected a sentence"),
        ({"until": '"some day"'}, "until"),
        ({"until": "2026-01-30"}, "expected within 180 days of added"),
        ({"until": "2027-01-31"}, "expected within 180 days of added"),
        ({"id": '"that one"'}, "id"),
        ({"severity": '"low"'}, "severity"),
    ],
)
def test_a_line_at_fault_is_named(tmp_path: Path, changed: dict[str, str], told: str) -> None:
    with pytest.raises(ListError, match=f"^ignored.toml: ignored.0.*{told}"):
        read(written(tmp_path, GOOD | changed), IgnoredList)


@pytest.mark.parametrize("name", GOOD)
def test_nothing_may_be_left_out(tmp_path: Path, name: str) -> None:
    line = {one: value for one, value in GOOD.items() if one != name}
    with pytest.raises(ListError, match=name):
        read(written(tmp_path, line), IgnoredList)


def test_a_day_that_is_past_is_no_fault_of_form(tmp_path: Path) -> None:
    past = GOOD | {"added": "2020-01-01", "until": "2020-01-02"}
    assert read(written(tmp_path, past), IgnoredList).ignored


def test_nothing_stands_there_twice(tmp_path: Path) -> None:
    with pytest.raises(ListError, match="leaf GHSA-aaaa-bbbb-cccc stands there more than once"):
        read(written(tmp_path, GOOD, GOOD), IgnoredList)


@pytest.mark.parametrize("text", ["ignored = 1", "[[ignored", "[[else]]"])
def test_what_is_no_list_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "ignored.toml").write_text(text)
    with pytest.raises(ListError, match=r"^ignored.toml: "):
        read(tmp_path / "ignored.toml", IgnoredList)
    with pytest.raises(ListError, match=r"^gone.toml: "):
        read(tmp_path / "gone.toml", IgnoredList)


def test_a_licence_is_named_by_spdx(tmp_path: Path) -> None:
    (tmp_path / "licences.toml").write_text('allowed = ["BSD License"]')
    with pytest.raises(ListError, match="expected SPDX"):
        read(tmp_path / "licences.toml", LicenceList)


def test_make_check_reads_them_and_asks_nobody() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    assert "\t$(BIN)/python -m deploy.audit --lists\n" in makefile
    command = [sys.executable, "-m", "deploy.audit", "--lists"]
    environ = {"HTTPS_PROXY": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9"}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, env=environ)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
