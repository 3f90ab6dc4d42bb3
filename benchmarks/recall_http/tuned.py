"""The same service after an afternoon with a profiler: one thread each, columns, bytes out."""

import orjson
from fastapi import FastAPI, HTTPException, Response
from redis.asyncio import Redis

from benchmarks.recall_http.given import Given
from export.contract.session import open_session


def create_app() -> FastAPI:
    """Return the application; still one request at a time."""
    given = Given.of_environment()
    redis = Redis.from_url(given.redis)
    tower = open_session(given.tower)
    index, ids = given.open_index(), given.read_ids()
    app = FastAPI()

    @app.get("/recall")
    async def recall(user_id: str, k: int = 100) -> Response:
        stored = await redis.get(given.key + user_id)
        if stored is None:
            raise HTTPException(404)
        [vector] = tower.run(["vector"], given.pack(orjson.loads(stored)))
        labels, distances = index.knn_query(vector, k=k, num_threads=1)
        answer = {
            "user_id": user_id,
            "items": [ids[label] for label in labels[0].tolist()],
            "scores": 1 - distances[0],
        }
        body = orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)
        return Response(body, media_type="application/json")

    return app
