import asyncio
from pathlib import Path

import pytest
from redis import Redis

from benchmarks.peers.members import missing
from benchmarks.peers.redis_vector_sets import RedisNoquant
from service.redis.embedded import server_binary, socket_path
from tests.service.made import unit_vectors

MISSING = "no redis-server with vector sets (8.0 or later) on PATH"


def test_without_a_redis_server_that_has_vector_sets_a_line_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    older = server_binary()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert missing("redis-q8") == MISSING
    (tmp_path / "redis-server").symlink_to(older)
    assert missing("redis-q8") == MISSING


def test_the_server_that_searches_is_counted_and_ends_with_its_service(tmp_path: Path) -> None:
    if why := missing("redis-noquant"):
        pytest.skip(f"not run: {why}")

    async def told() -> tuple[int, ...]:
        peer = RedisNoquant(tmp_path)
        peer.build(unit_vectors(20, seed=1))
        await peer.open()
        try:
            with Redis(unix_socket_path=str(socket_path(tmp_path))) as client:
                assert client.execute_command("VCARD", "items") == 20
                searches = client.info("server")["process_id"]
            assert peer.processes() == (searches,)
            return peer.processes()
        finally:
            await peer.close()

    [process] = asyncio.run(told())
    assert not Path(f"/proc/{process}").exists()
