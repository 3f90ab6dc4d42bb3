"""Bundles and snapshots changed, and their checksums made right again.

A checksum finds what was damaged. Behind it lie the readers of JSON, arrays, tables, models and
graphs, and here they get what no checksum holds back. Each folder is opened in another process:
whatever is wrong has to be told as it should be, or end that process and no other.
"""

import contextlib
import hashlib
import json
import random
import resource
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from tests.fuzz.mutations import mutation_of

NATIVE = ("onnx", "index", "parquet", "data")
"""What foreign code reads, which may end a process on a file that somebody made to do so."""

MOST_BYTES = 8 << 30
"""Of address space, of which each opened model leaves some behind."""
FOLDERS = 40
"""So many are opened by one process."""


@dataclass
class Opened:
    """What became of the folders that were opened."""

    folders: int = 0
    said: Counter[str] = field(default_factory=Counter)
    ended: list[str] = field(default_factory=list)
    """Ends that are no defect of ours: of what foreign code reads."""
    defects: list[str] = field(default_factory=list)


class Opener:
    """A process that opens folders, another one after each that ended, and now and then."""

    def __init__(self, module: str) -> None:
        self._module = module
        self._opened = 0
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._end()

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
        self._process = None

    def open(self, folder: Path) -> tuple[str, str]:
        """Return what it said; "" and how it ended, if it did."""
        if self._opened % FOLDERS == 0:
            self._end()
        self._opened += 1
        process = self._process or self._start()
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(f"{folder}\n")
            process.stdin.flush()
        said = process.stdout.readline().strip()
        if said:
            return said, ""
        _, told = process.communicate()
        self._process = None
        return "", f"exit {process.returncode}: {told[-2000:]}"

    def _start(self) -> "subprocess.Popen[str]":
        self._process = subprocess.Popen(
            [sys.executable, "-m", self._module],
            preexec_fn=_limit_memory,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        return self._process


def _limit_memory() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))


def resigned(folder: Path) -> None:
    """Make the checksums of a bundle or a snapshot right for the files as they are."""
    sums = folder / "SHA256SUMS"
    if sums.exists():
        names = [line.split()[-1] for line in sums.read_text().splitlines()]
        sums.write_text("".join(f"{_sha256(folder / name)}  {name}\n" for name in names))
        return
    with contextlib.suppress(ValueError, TypeError, AttributeError, KeyError):
        manifest = json.loads((folder / "manifest.json").read_bytes())
        for name in manifest["checksums"]:
            manifest["checksums"][name] = _sha256(folder / name)
        (folder / "manifest.json").write_text(json.dumps(manifest))


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def damaged(whole: Path, home: Path, rng: random.Random) -> Iterator[tuple[str, Path]]:
    """Give copies of a folder without end, one member changed in each, and its name."""
    members = sorted(path for path in whole.rglob("*") if path.is_file())
    for number in range(sys.maxsize):
        member = rng.choice(members)
        folder = home / str(number) / whole.name
        shutil.copytree(whole, folder)
        copy = folder / member.relative_to(whole)
        data = copy.read_bytes()
        copy.write_bytes(mutation_of(copy.name, data)(data, rng))
        if member.name not in ("manifest.json", "SHA256SUMS"):
            resigned(folder)
        yield str(member.relative_to(whole)), folder
        shutil.rmtree(folder.parent)


def try_folders(
    whole: Path, home: Path, module: str, seed: int, until_s: float, most: int
) -> Opened:
    """Open damaged copies of a folder until a moment of the monotonic clock, or so many."""
    opened = Opened()
    with Opener(module) as opener:
        good, _ = opener.open(whole)
        assert good, "what nobody has changed opens"
        for member, folder in damaged(whole, home, random.Random(seed)):
            if time.monotonic() > until_s or opened.folders >= most:
                break
            opened.folders += 1
            said, ended = opener.open(folder)
            opened.said["as ever" if said == good else said[:7] or "ended"] += 1
            if ended:
                is_native = any(part in member for part in NATIVE) and "Traceback" not in ended
                (opened.ended if is_native else opened.defects).append(f"{member}: {ended}")
                kept = home.parent / "found" / f"{seed}-{opened.folders}"
                shutil.copytree(folder, kept, dirs_exist_ok=True)
        said, ended = opener.open(whole)
        assert said == good, f"what nobody has changed does not open any more: {ended}"
    return opened
