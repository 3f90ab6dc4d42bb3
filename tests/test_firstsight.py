"""The command: its verbs, its exit codes and its one line."""

import contextlib
import re
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

import firstsight
from export.contract.errors import ConfigError
from firstsight import FAILED, MISTAKE, NOT_SERVING, VERBS, Verb

ROOT = Path(__file__).parents[1]
HEAVY = ("torch", "hnswlib", "onnxruntime", "redis", "numpy", "pyarrow", "starlette", "uvicorn")


@pytest.fixture
def verb(monkeypatch: pytest.MonkeyPatch) -> types.SimpleNamespace:
    """A verb `try` whose function raises what the test wants."""
    holder = types.SimpleNamespace(raises=None)

    def attempt(count: int = 1) -> None:
        """Try."""
        if holder.raises is not None:
            raise holder.raises
        typer.echo(f"tried {count}")

    module = types.ModuleType("attempts")
    module.attempt = attempt  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "attempts", module)
    verbs = [Verb(name, "attempts:attempt", "dev", "Try.") for name in ("try", "other")]
    monkeypatch.setattr(firstsight, "VERBS", verbs)
    return holder


def test_a_verb_that_gives_way_does_so_before_it_is_imported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done: list[str] = []
    module = types.SimpleNamespace(yield_for_good=lambda: done.append("gives way"), verb=len)

    def imported(name: str) -> types.SimpleNamespace:
        done.append(name)
        return module

    monkeypatch.setattr("firstsight.importlib.import_module", imported)
    for yields in (True, False):
        verb = Verb("try", "rooms:verb", "dev", "Try.", yields)
        assert firstsight.load(verb, contextlib.ExitStack()) is len
    assert done == ["service.child.yielding", "gives way", "rooms", "rooms"]
    assert [one.name for one in VERBS if one.yields] == ["bundle"]


def test_a_verb_that_starts_processes_begins_before_it_is_imported_and_ends_what_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done: list[str] = []

    @contextlib.contextmanager
    def begun() -> Iterator[None]:
        done.append("begun")
        yield
        done.append("ended")

    def imported(name: str) -> types.SimpleNamespace:
        done.append(name)
        return types.SimpleNamespace(begun=begun, verb=len)

    monkeypatch.setattr("firstsight.importlib.import_module", imported)
    with contextlib.ExitStack() as stack:
        firstsight.load(Verb("try", "rooms:verb", "dev", "Try.", begins=True), stack)
    assert done == ["service.processes.fork_server_process", "begun", "rooms", "ended"]
    assert [one.name for one in VERBS if one.begins] == ["serve"]


@pytest.mark.parametrize("arguments", [[], ["--help"]])
def test_help_lists_every_verb(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert firstsight.run(arguments) == 0
    told = capsys.readouterr().out
    for one in VERBS:
        assert re.search(rf"^  {one.name} +{re.escape(one.help)}$", told, re.MULTILINE)


def test_help_imports_no_room() -> None:
    program = "import sys, firstsight; firstsight.run([])"
    program += f"; print(sorted(set({HEAVY}) & sys.modules.keys()))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_serving_starts_in_a_small_process() -> None:
    program = f"import sys, service.cli; print(sorted(set({HEAVY}) & sys.modules.keys()))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("one", VERBS, ids=lambda one: one.name)
def test_every_verb_is_there_and_explains_itself(
    one: Verb, capsys: pytest.CaptureFixture[str]
) -> None:
    assert firstsight.run([one.name, "--help"]) == 0
    assert f"firstsight {one.name}" in capsys.readouterr().out


def test_a_verb_runs_with_its_options(
    verb: types.SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    assert firstsight.run(["try", "--count", "3"]) == 0
    assert capsys.readouterr().out == "tried 3\n"


class NotServing(Exception):
    exit_code = NOT_SERVING


@pytest.mark.parametrize(
    ("raises", "code", "line"),
    [
        (ConfigError("towr: no such key"), MISTAKE, "towr: no such key"),
        (FileNotFoundError(2, "No such file", "x.yaml"), FAILED, "x.yaml"),
        (RuntimeError("boom"), FAILED, "RuntimeError: boom (--debug shows where)"),
        (NotServing("port 8000 is in use"), NOT_SERVING, "port 8000 is in use"),
        (typer.BadParameter("count: too many"), MISTAKE, "count: too many"),
        (KeyboardInterrupt(), 130, None),
        (typer.Exit(1), FAILED, None),
    ],
)
def test_an_error_is_one_line_and_its_exit_code(
    verb: types.SimpleNamespace,
    capsys: pytest.CaptureFixture[str],
    raises: BaseException,
    code: int,
    line: str | None,
) -> None:
    verb.raises = raises
    assert firstsight.run(["try"]) == code
    said = capsys.readouterr().err
    if line is None:
        assert said == ""
    else:
        assert said.startswith("firstsight: ")
        assert line in said
        assert said.count("\n") == 1


@pytest.mark.parametrize("arguments", [["--debug", "try"], ["try", "--debug"]])
def test_debug_shows_the_traceback(
    verb: types.SimpleNamespace, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    verb.raises = ConfigError("towr: no such key")
    assert firstsight.run(arguments) == MISTAKE
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["tray"], ["try", "--size", "3"], ["try", "--count", "x"]])
def test_a_wrong_command_line_is_the_users_mistake(
    verb: types.SimpleNamespace, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    assert firstsight.run(arguments) == MISTAKE
    assert capsys.readouterr().err.count("\n") == 1


def test_a_missing_extra_is_named_with_its_remedy(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    verb = Verb("train", "no_such_library.cli:train", "training", "Train.")
    monkeypatch.setattr(firstsight, "VERBS", (verb, *VERBS[2:]))
    assert firstsight.run(["train"]) == MISTAKE
    said = capsys.readouterr().err
    assert "firstsight train needs the extra 'training'" in said
    assert "pip install 'firstsight[training]'" in said


def test_a_room_that_is_broken_is_not_taken_for_a_missing_extra(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    verb = Verb("train", "training.no_such_file:train", "training", "Train.")
    monkeypatch.setattr(firstsight, "VERBS", (verb, *VERBS[2:]))
    assert firstsight.run(["train"]) == FAILED
    assert "pip install" not in capsys.readouterr().err
