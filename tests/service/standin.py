"""A tiny application for the process model: real processes, sockets and forks, no vectors.

`python -m tests.service.standin FOLDER PORT WORKERS [REDIS_URL]` serves what the file
`FOLDER/generation` says.
"""

import asyncio
import gc
import json
import logging
import os
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from pathlib import Path
from typing import Any

import uvicorn

from export.contract.errors import BundleError
from service.processes.control import WorkerControl
from service.processes.draining import DrainingServer
from service.supervisor import Plan, StartFailed, serve

IMPORTED = time.monotonic_ns()
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Scope]]
Send = Callable[[Scope], Awaitable[None]]


def load(settings: dict[str, str], *, served: Collection[str]) -> str:
    generation = Path(settings["folder"], "generation").read_text()
    Path(settings["folder"], "priority").write_text(priority())
    with Path(settings["folder"], "loads").open("a") as loads:
        loads.write(f"{generation}\n")
    if generation == "less" and served:
        raise BundleError("others serve more than this")
    if generation == "broken":
        raise BundleError("bundle broken: vectors.npy: checksum differs")
    if generation in ("slow", "late"):
        time.sleep(60 if generation == "slow" else 1)
    return generation


def priority() -> str:
    """Return the nice value of this session; nothing where sessions have none."""
    path = Path("/proc/self/autogroup")
    return path.read_text().split()[-1] if path.is_file() and path.read_text() else ""


def versions(generation: str) -> list[str]:
    return [generation]


def first_here(mark: Path) -> bool:
    try:
        mark.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def run_worker(
    settings: dict[str, str], generation: str, sock: socket.socket, control: WorkerControl
) -> None:
    if generation == "stillborn":
        raise RuntimeError("no session")
    if generation == "half" and not first_here(Path(settings["folder"], "half")):
        time.sleep(0.3)  # while the first one serves
        raise RuntimeError("no second session")

    of_worker: list[object] = [object()]

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        status = 200
        match scope["path"]:
            case "/slow":
                await asyncio.sleep(0.5)
            case "/endless":
                await asyncio.sleep(60)
            case "/handover":
                control.ask_handover("delta")
            case "/readyz":
                status = 503 if control.is_leaving else 200
        facts = {"pid": os.getpid(), "loader": os.getppid(), "generation": generation}
        facts["priority"] = priority()
        facts["imported"] = IMPORTED
        is_visited = any(one is of_worker for one in gc.get_objects())
        facts["collects"] = (gc.isenabled(), gc.get_freeze_count() > 0, is_visited)
        body = json.dumps(facts | {"redis": settings["redis"]}).encode()
        head = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": head})
        await send({"type": "http.response.body", "body": body})

    config = uvicorn.Config(app, lifespan="off", access_log=False, log_level="warning")
    DrainingServer(config, control).run(sockets=[sock])
    Path(settings["folder"], "left").write_text(priority())


def main(folder: str, port: str, workers: str, redis: str | None = None) -> int:
    if level := os.environ.get("LOG_LEVEL"):
        logging.basicConfig(level=level)
    plan = Plan(
        application="tests.service.standin",
        settings_for=lambda url: {"folder": folder, "redis": url},
        host="127.0.0.1",
        port=int(port),
        workers=int(workers),
        redis=redis,
        data_folder=Path(folder),
        linger_s=float(os.environ.get("LINGER_S", "1")),
        grace_s=float(os.environ.get("GRACE_S", "5")),
        readiness_off_s=float(os.environ.get("READINESS_OFF_S", "0")),
        load_timeout_s=float(os.environ.get("LOAD_TIMEOUT_S", "900")),
    )
    try:
        serve(plan)
    except StartFailed as error:
        sys.stderr.write(f"firstsight: {error}\n")
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
