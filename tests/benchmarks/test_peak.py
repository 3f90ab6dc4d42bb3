import sys
from pathlib import Path
from subprocess import CalledProcessError

import pytest

from benchmarks.peak import peak_mb


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
