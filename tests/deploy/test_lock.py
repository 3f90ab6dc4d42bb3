"""The locks of the images fit pyproject.toml, and whoever changes one of the two is told."""

import copy
import re
import subprocess
import sys
from importlib.metadata import requires, version
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from deploy.lock import (
    APART,
    ENVIRONMENTS,
    LOCKS,
    PYTHON,
    ROOT,
    TORCH_NEEDS,
    asked,
    check,
    parse,
    read_project,
    write,
)
from tests.deploy.dockerfile import Dockerfile

NAMES = [*asked(read_project())]
HASH = "sha256:" + 64 * "0"


@pytest.fixture
def project() -> Any:
    return copy.deepcopy(read_project())


def test_the_locks_fit_what_is_asked(project: Any) -> None:
    assert check(LOCKS, project) == []
    assert {path.stem for path in LOCKS.iterdir()} == set(NAMES)


@pytest.mark.parametrize(
    ("extra", "wanted", "told"),
    [
        ("service", "orjson>=999", "service.txt: orjson>=999 is asked for, and 3."),
        ("service", "nosuch>=1", "service.txt: nosuch>=1 is asked for, and not locked"),
        ("tracing", "redis[ocsp]>=6", "service.txt: redis[ocsp]>=6 is asked for, and not locked"),
        ("export", "onnx<1", "training.txt: onnx<1 is asked for, and 1."),
        ("service", "hnswlib>=9", "hnswlib.txt: hnswlib>=9 is asked for, and 0.8"),
    ],
)
def test_a_bound_that_moved_away_is_told(project: Any, extra: str, wanted: str, told: str) -> None:
    project["project"]["optional-dependencies"][extra].append(wanted)
    assert [line for line in check(LOCKS, project) if line.startswith(told)]


def test_another_torch_is_told(project: Any) -> None:
    extras = project["project"]["optional-dependencies"]
    for extra in ("training", "export"):
        extras[extra] = [one.replace("torch==2", "torch==3") for one in extras[extra]]
    [line] = check(LOCKS, project)
    assert line.startswith("torch.txt: torch==3")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (f"orjson>=3 --hash={HASH}", "orjson: expected one version"),
        (f"orjson==3.* --hash={HASH}", "orjson: expected one version"),
        (f"orjson --hash={HASH}", "orjson: expected one version"),
        ("orjson==3.1", "orjson: expected SHA-256"),
        ("orjson==3.1 --hash=md5:0", "orjson: expected SHA-256"),
        (f"orjson @ https://index.test/orjson.whl --hash={HASH}", "orjson: expected one version"),
        (
            "--index-url https://index.test/simple",
            "--index-url https://index.test/simple: expected",
        ),
        (f"orjson==3.1 --hash={HASH} --index-url https://x", "orjson: expected SHA-256"),
    ],
)
def test_a_lock_is_names_versions_and_hashes_alone(tmp_path: Path, line: str, told: str) -> None:
    for name in NAMES:
        (tmp_path / f"{name}.txt").write_text((LOCKS / f"{name}.txt").read_text("utf-8"))
    with (tmp_path / "service.txt").open("a") as file:
        file.write(f"{line}\n")
    [found] = check(tmp_path, read_project())
    assert found.startswith(f"service.txt: {told}")


def test_a_lock_that_is_not_there_is_told(tmp_path: Path) -> None:
    assert len(check(tmp_path, read_project())) == len(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_no_host_stands_in_a_lock(name: str) -> None:
    assert "://" not in (LOCKS / f"{name}.txt").read_text("utf-8")


def test_the_command_says_what_no_longer_fits_and_exits_1(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-m", "deploy.lock"], cwd=ROOT, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")
    makefile = (ROOT / "Makefile").read_text("utf-8")
    assert re.search(
        r"^check:(?:.*\n)(?:\t.*\n)*?\t\$\(BIN\)/python -m deploy.lock\n", makefile, re.M
    )


def test_what_torch_needs_is_what_its_cpu_build_says() -> None:
    if not version("torch").endswith("+cpu"):
        pytest.skip("torch is not its CPU build here")
    needed = [Requirement(one) for one in requires("torch") or ()]
    said = {str(one) for one in needed if one.marker is None}
    assert said == set(TORCH_NEEDS)


def test_the_torch_that_is_locked_is_the_one_that_make_installs() -> None:
    [torch] = parse((LOCKS / "torch.txt").read_text("utf-8"))
    [told] = re.findall(r"^TORCH := (.*)$", (ROOT / "Makefile").read_text("utf-8"), re.M)
    assert f"{told}+cpu" == str(torch.requirement)


def test_locks_are_for_the_python_of_the_image() -> None:
    base = Dockerfile.ours().arguments["BASE"]
    assert re.search(rf"/python:{re.escape(PYTHON)}\.\d+-slim", base)
    full = ENVIRONMENTS[0]["python_full_version"]
    assert f"python:{full}-slim" in base


def test_what_is_made_apart_is_in_no_other_lock() -> None:
    for name in ("service", "training", "build"):
        locked = parse((LOCKS / f"{name}.txt").read_text("utf-8"))
        assert not {one.requirement.name for one in locked} & set(APART)


def test_locked_again_versions_that_fit_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Torch's index is one that nobody serves; the others are made before it, and stay."""
    for name in NAMES:
        (tmp_path / f"{name}.txt").write_text((LOCKS / f"{name}.txt").read_text("utf-8"))
    (tmp_path / "hnswlib.txt").unlink()
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    with pytest.raises(subprocess.CalledProcessError):
        write(tmp_path, read_project(), "http://127.0.0.1:9")
    if not (tmp_path / "hnswlib.txt").exists():
        pytest.skip(f"uv reaches no index: {capfd.readouterr().err.strip().splitlines()[-1]}")
    assert "torch" in capfd.readouterr().err
    assert check(tmp_path, read_project()) == []
    for name in NAMES:
        again, before = (
            [one.requirement for one in parse((folder / f"{name}.txt").read_text("utf-8"))]
            for folder in (tmp_path, LOCKS)
        )
        assert [*map(str, again)] == [*map(str, before)]
