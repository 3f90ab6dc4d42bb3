import numpy as np
import pytest

import service.index.indexed as module
from export.index.hnsw import HnswConfig
from service.index.arrivals import Arrivals
from service.index.recent import Recent
from tests.service.made import unit_vectors
from tests.tiny import DIM

VECTORS = unit_vectors(30, seed=1)


@pytest.mark.parametrize("compares", [False, True])
def test_what_came_after_the_index_was_built_is_not_found(
    compares: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if compares:
        monkeypatch.setattr(module, "GRAPH_MOST", 5)
    arrivals = Arrivals(DIM)
    arrivals.extend([f"x{n}" for n in range(30)], VECTORS)
    arrivals.retire(3, tick=2)
    recent = Recent(arrivals, HnswConfig().build(VECTORS[:20], threads=1))
    assert len(recent) == 20
    no_floor = np.array([-np.inf], np.float32)
    [(rows, scores)] = recent.search(VECTORS[25:26], [30], no_floor, tick=2)
    assert sorted(rows.tolist()) == [row for row in range(20) if row != 3]
    [(few, _)] = recent.search(VECTORS[25:26], [30], scores[4:5], tick=2)
    assert few.tolist() == rows[:5].tolist()
    [(rows, _)] = recent.search(VECTORS[3:4], [1], no_floor, tick=1)
    assert rows.tolist() == [3]
