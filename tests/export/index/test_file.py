import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from export.index.file import replacing, sha256_of

KILLED = """
import os, signal, sys
from pathlib import Path
from export.index.file import replacing
with replacing(Path(sys.argv[1])) as part:
    part.write_bytes(b"half of the new")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_block_that_ends_replaces_the_file(tmp_path: Path) -> None:
    path = tmp_path / "index"
    for content in (b"old", b"new"):
        with replacing(path) as part:
            part.write_bytes(content)
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_block_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "index"
    path.write_bytes(b"old")

    def fail(part: Path) -> None:
        part.write_bytes(b"half of the new")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), replacing(path) as part:
        fail(part)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_process_killed_while_writing_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "index"
    path.write_bytes(b"old")
    killed = subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False, timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert path.read_bytes() == b"old"


def test_contents_are_on_the_disk_before_the_name_points_to_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "index"
    flush, steps = os.fsync, []

    def noted(descriptor: int) -> None:
        flush(descriptor)
        steps.append((Path(f"/proc/self/fd/{descriptor}").readlink().name, path.exists()))

    monkeypatch.setattr(os, "fsync", noted)
    with replacing(path) as part:
        part.write_bytes(b"new")
    assert steps == [(part.name, False), (tmp_path.name, True)]


def test_the_sha256_is_the_published_one(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")  # FIPS 180-2, appendix B.1
    assert sha256_of(tmp_path / "abc") == (
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )
