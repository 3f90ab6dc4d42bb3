"""What the images install, to the last byte: `python -m deploy.lock` checks it, `write` locks it.

Each file of `deploy/locks` holds versions and hashes and nothing else, so that it is installed from
any index by `pip install --require-hashes`. `write` asks the package index by uv, and passes on
what else is given: `write --upgrade`. Checking asks nobody.
"""

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

ROOT: Final = Path(__file__).parents[1]
LOCKS: Final = ROOT / "deploy" / "locks"
UV: Final = str(Path(sys.executable).with_name("uv"))
PYTHON: Final = "3.11"
"""The Python of the images, and the oldest that the locks are made for."""

COMPILES: Final = ("wheel", "numpy>=1.10", "pybind11>=2.0")
"""What hnswlib's source distribution is built with, beside setuptools."""
DESCRIBES: Final = ("cyclonedx-bom>=7.5",)
"""What lists what the image `service` holds."""
APART: Final = ("hnswlib", "torch")
"""hnswlib is compiled, and its wheel has no hash that could be known before; torch's CPU build is
another file, of another index, than the torch of PyPI."""
TORCH_NEEDS: Final = (
    *("filelock", "fsspec>=0.8.5", "jinja2", "networkx>=2.5.1", "setuptools>=77.0.3"),
    *("sympy>=1.13.3", "typing-extensions>=4.10.0"),
)
"""What the CPU build requires; the one of PyPI would bring gigabytes of CUDA."""

ENVIRONMENTS: Final[tuple[Mapping[str, str], ...]] = tuple(
    {
        "implementation_name": "cpython",
        "os_name": "posix",
        "platform_machine": machine,
        "platform_python_implementation": "CPython",
        "platform_system": "Linux",
        "python_full_version": f"{PYTHON}.15",
        "python_version": PYTHON,
        "sys_platform": "linux",
    }
    for machine in ("x86_64", "aarch64")
)
"""The platforms of the images."""


class Locked(NamedTuple):
    """One line of a lock: a requirement `name==version`, and the hashes of its files."""

    requirement: Requirement
    hashes: tuple[str, ...]

    @property
    def version(self) -> str:
        """The one version that may be installed."""
        return next(iter(self.requirement.specifier)).version

    def is_for(self, environment: Mapping[str, str]) -> bool:
        """Say whether it is installed there."""
        marker = self.requirement.marker
        return marker is None or marker.evaluate(dict(environment))


def asked(project: Mapping[str, object]) -> dict[str, list[Requirement]]:
    """Return what each lock has to fulfil, by `pyproject.toml`, in the order of making."""
    told = Project(project)
    ours = [*told.extra("service"), *told.extra("tracing")]
    trains = [*told.extra("training"), *told.extra("export")]
    torch = next(one for one in trains if one.name == "torch")
    return {
        "service": _others([*told.needs, *ours]),
        "training": _others([*told.needs, *trains, *map(Requirement, TORCH_NEEDS)]),
        "hnswlib": [one for one in ours if one.name == "hnswlib"],
        "build": [*told.builds, *map(Requirement, COMPILES)],
        "sbom": [*map(Requirement, DESCRIBES)],
        "torch": [Requirement(f"{torch}+cpu")],
    }


def _others(requirements: Sequence[Requirement]) -> list[Requirement]:
    return [one for one in requirements if one.name not in APART]


class Project:
    """The requirements that stand in a `pyproject.toml`."""

    def __init__(self, told: Mapping[str, object]) -> None:
        self._told = told
        self.needs = self._at("project", "dependencies")
        self.builds = self._at("build-system", "requires")

    def extra(self, name: str) -> list[Requirement]:
        """Return those of an extra."""
        return self._at("project", "optional-dependencies", name)

    def _at(self, *path: str) -> list[Requirement]:
        found: object = self._told
        for name in path:
            assert isinstance(found, Mapping), path
            found = found[name]
        assert isinstance(found, list), path
        return [Requirement(one) for one in found]


def read_project() -> Mapping[str, object]:
    """Return what `pyproject.toml` says."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def parse(text: str) -> list[Locked]:
    """Read a lock.

    Raises:
        ValueError: Names a line that is neither `name==version` with hashes nor a comment.

    """
    lines = re.sub(r"\\\n", " ", text).splitlines()
    return [_parsed(line) for line in lines if line.strip() and not line.lstrip().startswith("#")]


def _parsed(line: str) -> Locked:
    told, *hashes = re.split(r"\s+--hash=", line.partition(" #")[0])
    try:
        requirement = Requirement(told)
    except InvalidRequirement as error:
        raise ValueError(f"{line.strip():.60}: expected name==version and hashes") from error
    named = [(one.operator, one.version) for one in requirement.specifier]
    if len(named) != 1 or named[0][0] != "==" or "*" in named[0][1]:
        raise ValueError(f"{requirement.name}: expected one version, as {requirement.name}==1.0")
    if not hashes or not all(re.fullmatch(r"sha256:[0-9a-f]{64}", one.strip()) for one in hashes):
        raise ValueError(f"{requirement.name}: expected SHA-256 of its files")
    return Locked(requirement, tuple(one.strip() for one in hashes))


def faults(wanted: Sequence[Requirement], locked: Sequence[Locked]) -> Iterator[str]:
    """Say where a lock does not fulfil what is asked of it, on any platform of the images."""
    for environment in ENVIRONMENTS:
        there = {
            canonicalize_name(one.requirement.name): one
            for one in locked
            if one.is_for(environment)
        }
        for one in wanted:
            if one.marker is not None and not one.marker.evaluate(dict(environment)):
                continue
            found = there.get(canonicalize_name(one.name))
            if found is None or not one.extras <= found.requirement.extras:
                yield f"{one} is asked for, and not locked"
            elif not one.specifier.contains(found.version, prereleases=True):
                yield f"{one} is asked for, and {found.version} is locked"


def check(folder: Path, project: Mapping[str, object]) -> list[str]:
    """Return all that is wrong with the locks in a folder, one line each."""
    told = []
    for name, wanted in asked(project).items():
        path = folder / f"{name}.txt"
        try:
            found = dict.fromkeys(faults(wanted, parse(path.read_text("utf-8"))))
        except (OSError, ValueError) as error:
            found = {str(error): None}
        told += [f"{path.name}: {one}" for one in found]
    return told


def write(folder: Path, project: Mapping[str, object], index: str, *options: str) -> None:
    """Lock everything again; versions that are locked and still fit stay, unless options say so.

    index: where torch's CPU build is.

    Raises:
        subprocess.CalledProcessError: uv says why on standard error; what was made before it stays.

    """
    service = folder / "service.txt"
    for name, wanted in asked(project).items():
        only = ["--no-deps"] if name in APART else []
        only += ["--constraint", str(service)] if name in ("training", "build") else []
        only += ["--default-index", index] if name == "torch" else []
        command = [
            *(UV, "pip", "compile", "-", "--output-file", str(folder / f"{name}.txt")),
            *("--universal", "--python-version", PYTHON, "--generate-hashes", "--no-strip-extras"),
            *("--custom-compile-command", "make locks", "--annotation-style", "line"),
            *("--no-emit-package", APART[0]) * (name not in APART),
            *("--quiet", "--no-config", *only, *options),
        ]
        lines = "\n".join(map(str, wanted))
        subprocess.run(
            command, input=lines, text=True, check=True, cwd=ROOT, stdout=subprocess.DEVNULL
        )


def main(arguments: Sequence[str]) -> int:
    """Check, or `write INDEX-OF-TORCH [OPTIONS OF UV]`; return 1 where something is wrong."""
    project = read_project()
    if arguments and arguments[0] == "write":
        try:
            write(LOCKS, project, *arguments[1:])
        except subprocess.CalledProcessError as error:
            return int(error.returncode)
    found = check(LOCKS, project)
    for line in found:
        sys.stderr.write(f"{line}; make locks\n")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
