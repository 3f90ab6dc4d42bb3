"""The service that a competent engineer writes first: plain FastAPI, one request at a time."""

import json

import onnxruntime as ort
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel
from redis.asyncio import Redis

from benchmarks.recall_http.given import Given


class Item(BaseModel):
    """An item and its score."""

    id: str
    score: float


class Answer(BaseModel):
    """What is recalled for a user, best first."""

    user_id: str
    items: list[Item]


def create_app() -> FastAPI:
    """Return the application; onnxruntime and hnswlib have as many threads as they like."""
    given = Given.of_environment()
    redis = Redis.from_url(given.redis)
    tower = ort.InferenceSession(str(given.tower), providers=["CPUExecutionProvider"])
    index, ids = given.open_index(), given.read_ids()
    app = FastAPI()

    @app.get("/recall", response_model=Answer)
    async def recall(user_id: str, k: int = 100) -> Answer:
        stored = await redis.get(given.key + user_id)
        if stored is None:
            raise HTTPException(404)
        [vector] = tower.run(["vector"], given.pack(json.loads(stored)))
        labels, distances = index.knn_query(vector, k=k)
        pairs = zip(labels[0], distances[0], strict=True)
        items = [Item(id=ids[label], score=1 - distance) for label, distance in pairs]
        return Answer(user_id=user_id, items=items)

    return app
