import sys
from pathlib import Path
from subprocess import CalledProcessError

import pytest

from benchmarks.peak import peak_mb, peaks_mb


def test_the_peak_is_the_programs_own_and_counts_what_it_gave_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "holds.py").write_text(
        "import sys\n"
        "held = bytearray(b'x') * int(sys.argv[1])\n"
        "del held\n"
        "sys.exit(int(sys.argv[2]))\n"
    )
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{':'.join(p for p in sys.path if p)}")
    mine = bytearray(b"x") * 200_000_000
    small, large = peak_mb("holds", "1000", "0"), peak_mb("holds", "100000000", "0")
    assert small < 100 < large < len(mine) / 1e6
    with pytest.raises(CalledProcessError):
        peak_mb("holds", "1000", "1")


def test_pages_of_a_file_are_told_apart_from_what_no_file_backs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(bytes(60_000_000))
    (tmp_path / "maps.py").write_text(
        "import mmap, sys\n"
        "held = bytearray(b'x') * 40_000_000\n"
        "with open(sys.argv[1], 'rb') as file:\n"
        "    pages = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)\n"
        "assert not sum(pages[::4096])\n"
        "import time; time.sleep(0.1)\n"
    )
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{':'.join(p for p in sys.path if p)}")
    peaks = peaks_mb("maps", str(tmp_path / "file"))
    assert 40 < peaks.outside_files < 70
    assert peaks.whole > peaks.outside_files + 60
