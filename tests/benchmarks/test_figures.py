import argparse
import json
import re
from datetime import datetime
from pathlib import Path

import pytest

from benchmarks.figures import report


def test_figures_are_printed_and_kept_with_what_was_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "found.json"
    monkeypatch.setattr("sys.argv", ["double", "--n", "4", "--json", str(kept)])
    parser = argparse.ArgumentParser()
    parser.add_argument("--n", type=int, default=1)
    report("double", parser, lambda asked: {"twice": 2 * asked.n})
    found = json.loads(capsys.readouterr().out)
    assert found == json.loads(kept.read_text(encoding="utf-8"))
    assert (found["name"], found["figures"]) == ("double", {"twice": 8})
    assert found["parameters"] == {"n": "4"}
    assert found["machine"]["cores"] >= 1
    assert datetime.fromisoformat(found["date"]).tzinfo is not None
    assert len(found["load before and after"]) == 2
    assert re.fullmatch(r"([0-9a-f]{7,}\+?)?", found["commit"])
