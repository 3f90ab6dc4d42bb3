from pathlib import Path

import pytest

from benchmarks.recall_http.marks import LOOP
from benchmarks.recall_http.rounds import CLOSED, Options
from benchmarks.recall_http.stages import stages


def test_the_stages_of_a_recall_add_up_to_the_cpu_of_the_service(tmp_path: Path) -> None:
    found = stages(tmp_path, Options(items=300, seconds=0.5, posted=20, users=40))
    assert list(found) == [f"c={c}" for c in CLOSED]
    for one in found.values():
        table = one["stages (us of CPU)"]
        # searched exactly, so the graph has nothing; any other stage has something
        assert [stage for stage, us in table.items() if us <= 0] == ["search: graph"]
        assert table[LOOP] < one["sum"] / 2
        assert one["sum"] == pytest.approx(one["all processes"], rel=0.2)
