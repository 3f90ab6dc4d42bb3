"""Nothing that is read from outside becomes code: no pickles, no `eval`, no arrays of objects."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BETWEEN_PROCESSES = {
    "service/processes/fork_server.py": {"multiprocessing", "pickle"},
    "service/processes/fork_server_process.py": {"multiprocessing", "pickle"},
    "service/rollout/activation.py": {"pickle"},
}
"""Where a process of ours tells its own child, over a pipe or socket that nobody else has."""

PICKLES = {"pickle", "_pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "jsonpickle"}
PICKLES |= {"multiprocessing"}  # whose connections carry pickles
RUNS = {"eval", "exec", "compile", "__import__"}
SAFE = {("np", "load"): "allow_pickle=False", ("torch", "load"): "weights_only=True"}
NEVER = {("yaml", "load"), ("yaml", "unsafe_load"), ("yaml", "full_load"), ("pd", "read_pickle")}


def found_in(source: str) -> set[str]:
    """Return what may turn bytes into code, in a source and in the programs that it spells out."""
    return {one for node in ast.walk(ast.parse(source)) for one in _found(node)}


def _found(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Import(names=names):
            yield from PICKLES & {one.name.partition(".")[0] for one in names}
        case ast.ImportFrom(module=str(module)):
            yield from PICKLES & {module.partition(".")[0]}
        case ast.Call(func=ast.Name(id=name)) if name in RUNS:
            yield name
        case ast.Call(func=ast.Attribute(value=ast.Name(id=of), attr=name), keywords=keywords):
            said = {f"{one.arg}={ast.unparse(one.value)}" for one in keywords}
            needed = SAFE.get((of, name))
            if (of, name) in NEVER or (needed is not None and needed not in said):
                yield f"{of}.{name}"
        case ast.Constant(value=str(text)) if "\nimport " in text:
            yield from found_in(text)


@pytest.mark.parametrize("room", ["service", "export", "firstsight.py"])
def test_only_our_own_processes_hand_each_other_pickles(room: str) -> None:
    paths = sorted((ROOT / room).rglob("*.py")) or [ROOT / room]
    found = {str(path.relative_to(ROOT)): found_in(path.read_text("utf-8")) for path in paths}
    named = {path: what for path, what in BETWEEN_PROCESSES.items() if path.startswith(room)}
    assert {path: what for path, what in found.items() if what} == named


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("import pickle as p", {"pickle"}),
        ("import marshal, json", {"marshal"}),
        ("from shelve import open", {"shelve"}),
        ("def f(x):\n    return eval(x)", {"eval"}),
        ("np.load(path)", {"np.load"}),
        ("np.load(path, allow_pickle=True)", {"np.load"}),
        ("np.load(path, mmap_mode='r', allow_pickle=False)", set()),
        ("torch.load(path, weights_only=False)", {"torch.load"}),
        ("torch.load(path, weights_only=True)", set()),
        ("yaml.load(text, Loader=yaml.Loader)", {"yaml.load"}),
        ("model.eval()", set()),
        ('PROGRAM = """\nimport pickle, sys\n"""', {"pickle"}),
    ],
)
def test_what_would_make_code_of_bytes_is_found(source: str, told: set[str]) -> None:
    assert found_in(source) == told
