"""A small application over an hnswlib index, to measure ways of loading and replacing it."""

import asyncio
import hashlib
import json
import os
import resource
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from pathlib import Path
from typing import Any

import hnswlib
import numpy as np
import uvicorn

from service.processes.control import WorkerControl
from service.processes.draining import DrainingServer

Scope = MutableMapping[str, Any]
Settings = dict[str, Any]
K, EF = 100, 100


def clustered(count: int, dim: int, seed: int = 0) -> np.ndarray:
    """Return unit vectors around 2,000 centres, shaped [count, dim]."""
    random = np.random.default_rng(seed)
    centres = random.standard_normal((2000, dim)).astype(np.float32)
    vectors = centres[random.integers(2000, size=count)]
    vectors += 0.5 * random.standard_normal((count, dim)).astype(np.float32)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def build(vectors: np.ndarray, threads: int) -> hnswlib.Index:
    index = hnswlib.Index("ip", vectors.shape[1])
    index.init_index(len(vectors), M=16, ef_construction=80)
    index.add_items(vectors, num_threads=threads)
    index.set_ef(EF)
    return index


def read(folder: Path) -> tuple[hnswlib.Index, np.ndarray]:
    """Check and load the index, and the vectors as a second copy of the catalogue in memory."""
    hashlib.sha256((folder / "index.bin").read_bytes()).hexdigest()
    vectors = np.load(folder / "vectors.npy")
    index = hnswlib.Index("ip", vectors.shape[1])
    index.load_index(str(folder / "index.bin"))
    index.set_ef(EF)
    return index, vectors


def load(settings: Settings, *, served: Collection[str]) -> Any:
    """Return (index, vectors), or nothing if each worker is to load for itself."""
    del served
    folder = Path(settings["folder"])
    rebuild = folder / "rebuild.json"
    if rebuild.exists():  # a compaction: the catalogue again, from its vectors
        how = json.loads(rebuild.read_text())
        os.nice(how["nice"])
        before = resource.getrusage(resource.RUSAGE_SELF)
        began_s = time.monotonic()
        build(np.load(folder / "vectors.npy")[: how["items"]], how["threads"])
        after = resource.getrusage(resource.RUSAGE_SELF)
        cost = {
            "cpu_s": after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime,
            "wall_s": time.monotonic() - began_s,
        }
        (folder / "rebuilt.json").write_text(json.dumps(cost))
    return None if settings["mode"] == "each" else read(folder)


def versions(generation: Any) -> list[str]:
    """Name what is served, for want of another name."""
    return [] if generation is None else ["the one"]


def run_worker(
    settings: Settings, generation: Any, sock: socket.socket, control: WorkerControl
) -> None:
    """Serve GET /recall: one search a request; POST /reload: load in a thread beside them."""
    born_s = time.monotonic()
    folder = Path(settings["folder"])
    held = {"now": generation or read(folder)}
    queries = clustered(512, held["now"][1].shape[1], seed=1)
    (folder / f"worker-{os.getpid()}.json").write_text(json.dumps(time.monotonic() - born_s))
    count = 0

    def reload() -> None:
        held["now"] = read(folder)

    async def app(
        scope: Scope,
        receive: Callable[[], Awaitable[Scope]],
        send: Callable[[Scope], Awaitable[None]],
    ) -> None:
        nonlocal count
        if scope["type"] != "http":
            return
        if scope["path"] == "/reload":
            thread = threading.Thread(target=reload)
            thread.start()
            while thread.is_alive():
                await asyncio.sleep(0.05)
        count += 1
        ids, _ = held["now"][0].knn_query(queries[count % 512], k=K, num_threads=1)
        body = json.dumps(ids[0].tolist()).encode()
        head = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await send({"type": "http.response.body", "body": body})

    config = uvicorn.Config(app, lifespan="off", access_log=False, log_level="warning")
    DrainingServer(config, control).run(sockets=[sock])
