"""What is imported beside requests, which wait for it."""

import os
from pathlib import Path

import pytest

from tests.end_to_end.processes import Served, recalled
from tests.service.store.servers import eventually
from tests.tiny import tiny_bundle

NOTES_IMPORTS = """
import os, sys
def note(event, words):
    if event == "import":
        with open(os.path.join({folder!r}, str(os.getpid())), "a") as file:
            print(words[0], file=file)
sys.addaudithook(note)
"""

ASKED = [
    ("GET", "/recall?user_id=u", None),
    ("POST", "/recall", {"user": {"taste": {"art": 1.0}}, "history": ["i1"], "k": 5}),
    ("POST", "/recall/batch", {"requests": [{"user_id": "u"}, {"user_id": "v"}]}),
    ("POST", "/embed", {"items": [{"id": "n", "topics": ["art"]}]}),
    ("POST", "/items", {"id": "n", "topics": ["art"]}),
    ("PATCH", "/items/n", {"topics": ["music"]}),
    ("GET", "/items/n", None),
    ("PUT", "/users/u", {"country": "DE"}),
    ("GET", "/users/u", None),
    ("DELETE", "/users/u", None),
    ("DELETE", "/items/n", None),
    ("GET", "/livez", None),
    ("GET", "/readyz", None),
]


def test_a_worker_that_serves_imports_nothing_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site, notes = tmp_path / "site", tmp_path / "notes"
    for folder in (site, notes):
        folder.mkdir()
    (site / "sitecustomize.py").write_text(NOTES_IMPORTS.format(folder=str(notes)))
    paths = [str(site), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
    served = Served(tmp_path / "data", tiny_bundle(tmp_path / "bundles"), snapshot_s=1)
    try:
        [worker] = served.workers()
        note = notes / str(worker.pid)
        before = note.read_text() if note.exists() else ""
        for method, path, body in ASKED:
            status, answer = served.ask(method, path, body)
            assert status < 300, answer
        served.read("/metrics")
        assert not recalled(served, "n")
        folder = tmp_path / "data" / "snapshots" / "fs" / "tiny-1"
        eventually(lambda: list(folder.glob("*")))
        assert any(one.read_text() for one in notes.iterdir())  # by those that it was forked from
        assert (note.read_text() if note.exists() else "") == before
    finally:
        served.kill()
