"""The tuned FastAPI service of `recall_http` with a peer where that has its index."""

import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import orjson
from fastapi import FastAPI, HTTPException, Response
from redis.asyncio import Redis

from benchmarks.peers.members import member
from benchmarks.recall_http.given import Given
from export.contract.session import open_session

PEER, FOLDER = "PEERS_NAME", "PEERS_FOLDER"


def create_app() -> FastAPI:
    """Return the application; one request at a time, the effort of a search set by a call."""
    given = Given.of_environment()
    peer = member(os.environ[PEER])(Path(os.environ[FOLDER]))
    redis = Redis.from_url(given.redis)
    tower, ids = open_session(given.tower), given.read_ids()
    effort = peer.efforts[0]

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await peer.open()
        yield
        await peer.close()

    app = FastAPI(lifespan=lifespan)

    @app.get("/effort/{asked}")
    async def set_effort(asked: int) -> list[int]:
        nonlocal effort
        effort = asked
        return list(peer.processes())

    @app.get("/recall")
    async def recall(user_id: str, k: int = 100) -> Response:
        stored = await redis.get(given.key + user_id)
        if stored is None:
            raise HTTPException(404)
        [vector] = tower.run(["vector"], given.pack(orjson.loads(stored)))
        rows, scores = await peer.search(vector[0], k, effort)
        items = [ids[row] for row in rows]
        body = orjson.dumps({"user_id": user_id, "items": items, "scores": list(scores)})
        return Response(body, media_type="application/json")

    return app
