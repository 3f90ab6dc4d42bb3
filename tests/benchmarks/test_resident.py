import mmap
import os
import signal
from pathlib import Path

from benchmarks.resident import MB, memory_of


def test_a_page_of_a_file_counts_once_however_many_have_it(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(os.urandom(20 * MB))
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapped:
        before = memory_of([0])
        assert sum(mapped[::4096]) > 0  # touches each page
        child = os.fork()
        if child == 0:
            signal.pause()
        alone, both = memory_of([0]), memory_of([os.getpid(), child])
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert 18 * MB < alone.files - before.files < 22 * MB
    assert abs(both.files - alone.files) < MB
    assert both.anonymous < 1.3 * before.anonymous  # a fork shares what it does not write
    assert both.total == both.anonymous + both.files
