"""The exit codes of an audit: what is found, a list at fault, and nobody to ask are told apart."""

from datetime import UTC, datetime, timedelta

import pytest

import deploy.audit.__main__ as audit_module
from deploy.audit.advisories import Advisory, Answer
from deploy.audit.lists import LICENCES, Ignored, IgnoredList, LicenceList, ListError, read

FOUND = Advisory("orjson", "3.1", frozenset({"CVE-2026-1"}), ())


def code(monkeypatch: pytest.MonkeyPatch, answer: Answer, *ignored: Ignored) -> int:
    monkeypatch.setattr(audit_module, "ask", lambda *_: answer)
    return audit_module.audit(IgnoredList(ignored=ignored), read(LICENCES, LicenceList), "pypi")


def test_what_is_found_what_cannot_be_asked_and_what_is_well_differ(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert code(monkeypatch, Answer((), ())) == 0
    assert "0 wrong; all asked about" in capsys.readouterr().out
    assert code(monkeypatch, Answer((FOUND,), ("and another",))) == 1
    assert "WRONG: orjson 3.1: CVE-2026-1; no fix yet" in capsys.readouterr().out
    assert code(monkeypatch, Answer((), ("everything: no route",))) == 3
    told = capsys.readouterr().out
    assert "not asked: everything: no route" in told
    assert "NOBODY COULD BE ASKED FOR ADVISORIES" in told


def test_what_is_borne_is_told_and_passes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    today = datetime.now(UTC).date()
    told = {"id": "CVE-2026-1", "package": "orjson", "reason": "We never parse that."}
    line = Ignored.model_validate(told | {"added": today, "until": today + timedelta(days=1)})
    assert code(monkeypatch, Answer((FOUND,), ()), line) == 0
    assert "known: orjson 3.1: CVE-2026-1; no fix yet; borne until" in capsys.readouterr().out


def test_a_list_at_fault_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object) -> None:
        raise ListError("ignored.toml: no good")

    monkeypatch.setattr(audit_module, "read", refuse)
    assert audit_module.main(["--lists"]) == 2
    assert capsys.readouterr().err == "ignored.toml: no good\n"


def test_everything_that_is_installed_is_asked_about() -> None:
    packages = audit_module.locked((*audit_module.SHIPPED, *audit_module.MAKE))
    assert {"hnswlib", "torch", "fastapi", "onnx", "pybind11"} <= packages.keys()
    assert "colorama" not in packages  # of Windows
