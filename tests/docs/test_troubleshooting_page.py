"""The page on trouble quotes what the service says, and knows every warning and error it logs."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from service.parts import WaitingFor
from service.payloads import ReadyState, RecallAnswer
from service.store.durability import Level

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "troubleshooting.md").read_text("utf-8")
SOURCES = [
    ast.parse(path.read_text("utf-8"))
    for folder in ("service", "export")
    for path in sorted((ROOT / folder).rglob("*.py"))
]
NODES = [node for tree in SOURCES for node in ast.walk(tree)]


def texts(node: ast.AST) -> Iterator[str]:
    """Give the text of a string, with `...` for what is put in."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    if isinstance(node, ast.JoinedStr):
        parts = (one.value if isinstance(one, ast.Constant) else "..." for one in node.values)
        yield "".join(map(str, parts))


SAID = {text for node in NODES for text in texts(node)}
DOCSTRINGS = {
    ast.get_docstring(node, clean=False)
    for node in NODES
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
}


def section(heading: str) -> str:
    [found] = re.findall(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", PAGE, re.S | re.M)
    return str(found)


def quoted(heading: str) -> list[str]:
    """Return what is quoted in the first column of a section."""
    rows = [line.split("|")[1] for line in section(heading).splitlines() if line.startswith("| ")]
    return [text for cell in rows[1:] for text in re.findall(r"`([^`]+)`", cell)]


MESSAGES = quoted("It does not start") + quoted("What the log says")


@pytest.mark.parametrize("message", MESSAGES)
def test_a_message_is_one_that_the_service_gives(message: str) -> None:
    assert [text for text in SAID - DOCSTRINGS if message in text], message


def test_messages_are_found_and_none_twice() -> None:
    assert len(MESSAGES) > 60
    assert len(set(MESSAGES)) == len(MESSAGES)
    assert "no such message as this" not in SAID


def logged() -> set[str]:
    """Return the first argument of each call that logs a warning or worse."""
    calls = [
        node
        for node in NODES
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("warning", "error", "exception", "critical")
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "logger"
    ]
    return {text for call in calls for text in texts(call.args[0])}


def test_every_warning_and_error_that_the_service_logs_is_here() -> None:
    assert len(logged()) > 40
    assert logged() == set(quoted("What the log says"))


@pytest.mark.parametrize("word", [*get_args(ReadyState), *get_args(WaitingFor)])
def test_every_state_of_readiness_is_here(word: str) -> None:
    assert re.search(rf"`[^`]*\b{word}\b[^`]*`", section("It runs and is not ready"))


@pytest.mark.parametrize("word", get_args(Level))
def test_every_word_for_durability_is_here(word: str) -> None:
    assert f"`{word}`" in section("It runs and is not ready")


LABELS = get_args(get_args(RecallAnswer.model_fields["degraded"].annotation)[0])


@pytest.mark.parametrize("word", LABELS)
def test_every_label_of_a_degraded_answer_is_here(word: str) -> None:
    assert f'`degraded: ["{word}"]`' in quoted_cells("It answers, but")


def quoted_cells(heading: str) -> str:
    return "\n".join(line.split("|")[1] for line in section(heading).splitlines() if "|" in line)


def test_exit_codes_are_those_of_the_command() -> None:
    import firstsight

    codes = set(map(int, re.findall(r"\((\d)\) \|", section("It does not start"))))
    assert codes == {firstsight.MISTAKE, firstsight.NOT_SERVING}


def test_names_of_settings_are_settings() -> None:
    settings = (ROOT / "docs" / "settings.md").read_text("utf-8")
    for name in re.findall(r"`(FIRSTSIGHT_[A-Z_]+)`", PAGE):
        assert f"`{name}`" in settings
