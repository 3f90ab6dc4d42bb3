import asyncio
from pathlib import Path

import numpy as np
import pytest

from benchmarks.peers.members import MEMBERS, installed, member
from tests.service.made import unit_vectors


@pytest.mark.parametrize("name", MEMBERS)
def test_a_peer_finds_by_its_dearest_search_what_is_nearest(name: str, tmp_path: Path) -> None:
    if name not in installed():
        pytest.skip(f"{MEMBERS[name][0]} is not installed (extra peers)")
    vectors = unit_vectors(500, seed=1)
    query = unit_vectors(1, seed=2)[0]

    async def searched() -> tuple[list[int], list[float]]:
        peer = member(name)(tmp_path)
        peer.build(vectors)
        await peer.open()
        rows, scores = await peer.search(query, 10, peer.efforts[-1])
        return list(rows), list(scores)

    rows, scores = asyncio.run(searched())
    truth = np.argsort(-(vectors @ query))[:10]
    assert rows == truth.tolist()
    np.testing.assert_allclose(scores, vectors[truth] @ query, atol=1e-3)
