"""The application with its stages marked, as a loader serves it: the real one, in a real worker.

`python -m benchmarks.recall_http.profiled` serves as `firstsight serve` does, by the settings of
the environment. SIGUSR1 has each worker write what it has marked to the file named by
RECALL_HTTP_MARKS.
"""

import json
import os
import signal
import socket
from dataclasses import replace
from pathlib import Path

import onnxruntime as ort
from uvicorn.protocols.http import httptools_impl

import service.index.view
import service.recall
import service.recall_batch
import service.routes
import service.store.redis
from benchmarks.recall_http.marks import Marks
from export.contract.side import Side
from export.embedder import Embedder
from export.index.hnsw import HnswIndex
from service.cli import plan_of
from service.http.direct import Direct
from service.http.layers import Observed
from service.index.delta import Delta
from service.index.ids import Ids
from service.index.main_index import MainIndex
from service.known_user import UserReader
from service.processes import worker
from service.processes.control import WorkerControl
from service.processes.loaded import Loaded
from service.recall import Recalled, Recaller
from service.settings import Settings, read_settings
from service.supervisor import serve

MARKS = "RECALL_HTTP_MARKS"

load, versions = worker.load, worker.versions


def put_marks(marks: Marks) -> None:
    """Mark the stages of a recall, in the order in which it goes through them."""
    marks.put(httptools_impl.HttpToolsProtocol, "data_received", "parse of the request")
    marks.put(httptools_impl.RequestResponseCycle, "run_asgi", "parse of the request")
    marks.put(Observed, "__call__", "layers: id, limits, metrics")
    marks.put(Direct, "__call__", "routing")
    _mark_endpoint(marks)
    marks.put(service.routes, "read_recall_query", "query and its check")
    marks.put(service.recall_batch, "check_recall", "query and its check")
    marks.put(Recaller, "recall", "batcher and use case")
    marks.put(Recaller, "_recall", "batcher and use case")
    marks.put(Recaller, "_read", "store: one MGET a batch")
    marks.put(service.store.redis, "read_user", "store: stored records read")
    marks.put(UserReader, "read", "user: what is known")
    marks.put(Side, "pack", "embed: pack")
    marks.put(ort.InferenceSession, "run", "embed: run of the tower")
    marks.put(Embedder, "embed", "embed: check of the vectors")
    marks.put(HnswIndex, "_nearest", "search: graph")
    marks.put(MainIndex, "search", "search: around the graph")
    marks.put(Delta, "search", "search: delta")
    marks.put(Delta, "named", "search: delta")
    marks.put(Ids, "texts", "search: ids of rows")
    marks.put(service.index.view, "merge_all", "search: merge")
    marks.put(service.index.view.View, "search", "search: the rest")
    marks.put(Recalled, "encode", "encode")
    marks.put(httptools_impl.RequestResponseCycle, "send", "write of the answer")


def _mark_endpoint(marks: Marks) -> None:
    """Mark the endpoint, which the table of routes holds already."""
    plain = service.routes.recall
    marks.put(service.routes, "recall", "endpoint")
    marked = service.routes.recall
    endpoints = (marked if one is plain else one for one in service.routes.ENDPOINTS)
    vars(service.routes)["ENDPOINTS"] = tuple(endpoints)


def run_worker(
    settings: Settings, loaded: Loaded | None, sock: socket.socket, control: WorkerControl
) -> None:
    """Serve as the worker does, marked."""
    marks, path = Marks(), Path(os.environ[MARKS])
    put_marks(marks)

    def tell(*_: object) -> None:
        part = path.with_suffix(".part")
        part.write_text(json.dumps({"ns": marks.ns, "calls": marks.calls}), encoding="utf-8")
        part.replace(path)

    signal.signal(signal.SIGUSR1, tell)
    worker.run_worker(settings, loaded, sock, control)


if __name__ == "__main__":
    serve(replace(plan_of(read_settings()), application="benchmarks.recall_http.profiled"))
