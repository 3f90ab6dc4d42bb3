import asyncio
from pathlib import Path

import numpy as np
import pytest

from benchmarks.peers.members import MEMBERS, member, missing
from tests.service.made import unit_vectors

COARSE = {"redis-q8": 0.005}
"""How far scores by 8-bit codes are from those of the vectors, where these are not asked again."""


@pytest.mark.parametrize("name", MEMBERS)
def test_a_peer_finds_by_its_dearest_search_what_is_nearest(name: str, tmp_path: Path) -> None:
    if why := missing(name):
        pytest.skip(f"not run: {why}")
    vectors = unit_vectors(500, seed=1)
    query = unit_vectors(1, seed=2)[0]

    async def searched() -> tuple[list[int], list[float]]:
        peer = member(name)(tmp_path)
        peer.build(vectors)
        await peer.open()
        try:
            rows, scores = await peer.search(query, 10, peer.efforts[-1])
        finally:
            await peer.close()
        return list(rows), list(scores)

    rows, scores = asyncio.run(searched())
    truth = np.argsort(-(vectors @ query))[:10]
    nearest = vectors[truth] @ query
    np.testing.assert_allclose(vectors[rows] @ query, nearest, atol=COARSE.get(name, 1e-6))
    np.testing.assert_allclose(scores, vectors[rows] @ query, atol=COARSE.get(name, 1e-3))
