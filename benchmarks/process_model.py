"""Asks which process model loads, shares and replaces an index at the least cost to requests.

`python -m benchmarks.process_model --json FILE`; decision 0001 is made on its figures.
"""

import argparse
import contextlib
import json
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.machine import machine
from benchmarks.supervised import (
    FRESH,
    KEPT,
    LINGER_S,
    RATE,
    Figures,
    Service,
    children,
    memory_mib,
)


def sharing(folder: Path) -> Figures:
    """Measure (a): one load shared through fork, against a load in each worker."""
    figures: Figures = {}
    for name, mode, workers, tunables in (
        ("shared_1", "shared", 1, "glibc.malloc.hugetlb=1"),
        ("shared_2", "shared", 2, "glibc.malloc.hugetlb=1"),
        ("shared_2_small_pages", "shared", 2, "glibc.malloc.hugetlb=0"),
        ("each_1", "each", 1, "glibc.malloc.hugetlb=1"),
        ("each_2", "each", 2, "glibc.malloc.hugetlb=1"),
    ):
        service = Service(folder, workers, mode, GLIBC_TUNABLES=tunables)
        service.load(3).communicate()
        loader = service.loaders()[0]
        forked = [memory_mib(pid) for pid in children(loader)]
        whole = memory_mib(loader)["pss"] + sum(each["pss"] for each in forked)
        figures[name] = {
            "workers_mib": forked,
            "loader_mib": memory_mib(loader),
            "total_pss_mib": whole,
            "supervisor_pss_mib": memory_mib(service.process.pid)["pss"],
            "fork_to_serving_s": [round(each, 3) for each in service.fork_to_serving_s()],
        }
        service.close()
    return figures


SESSION = """
import os, sys, select, time
import numpy as np, onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper
weight = numpy_helper.from_array(np.random.rand(512, 512).astype("float32"), "w")
ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [None, 512]) for n in "xy"]
graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "g", ends[:1], ends[1:],
                          [weight])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
options = ort.SessionOptions()
options.intra_op_num_threads = int(sys.argv[2])
options.add_session_config_entry("session.intra_op.allow_spinning", "0")
def make(): return ort.InferenceSession(model.SerializeToString(), options)
x = np.ones((256, 512), dtype="float32")
if sys.argv[1] == "before":
    session = make()
    session.run(None, {"x": x})
heard, said = os.pipe()
pid = os.fork()
if pid == 0:
    if sys.argv[1] == "after":
        session = make()
    for _ in range(50):
        session.run(None, {"x": x})
    del session
    os.write(said, b"ok")
    os._exit(0)
ready, _, _ = select.select([heard], [], [], 5)
answer = "works" if ready else "hangs"
if not ready:
    os.kill(pid, 9)
_, status = os.waitpid(pid, 0)
print(answer if os.waitstatus_to_exitcode(status) in (0, -9) else f"crashes {status}")
"""


def sessions() -> Figures:
    """Measure (b): an onnxruntime session made before or after the fork."""
    figures = {}
    for when in ("after", "before"):
        for threads in ("1", "2"):
            words = [sys.executable, "-c", SESSION, when, threads]
            said = subprocess.run(words, capture_output=True, text=True).stdout.strip()
            figures[f"made_{when}_fork_{threads}_threads"] = said
    return figures


def latencies(rows: list[list[Any]], since_s: float, until_s: float) -> Figures:
    """Sum up the requests that were due in a time."""
    chosen = [row for row in rows if since_s <= row[0] < until_s]
    times = sorted(row[1] for row in chosen)
    at = {name: times[int(len(times) * q)] for name, q in (("p50", 0.5), ("p99", 0.99))}
    at |= {"p999": times[min(int(len(times) * 0.999), len(times) - 1)], "longest": times[-1]}
    return {
        "requests": len(chosen),
        "failed_kept": sum(row[2] and not row[3] for row in chosen),
        "failed_fresh": sum(not row[2] and not row[3] for row in chosen),
        **{f"{name}_ms": round(1000 * value, 1) for name, value in at.items()},
    }


def under_load(service: Service, event: Callable[[], Any], seconds: float) -> Figures:
    """Load, let `event` happen after 3 s, and compare the time before with the time during."""
    load = service.load(3 + seconds)
    began_s = time.monotonic()
    time.sleep(3)
    event_s = time.monotonic()
    event()
    done_s = time.monotonic()
    rows = json.loads(load.communicate()[0])
    service.close()
    return {
        "event_s": round(done_s - event_s, 2),
        "before": latencies(rows, began_s + 0.5, event_s),
        "during": latencies(rows, event_s, done_s),
    }


def handover(folder: Path) -> Figures:
    """Measure (c): a new loader on the same socket, against a thread in the worker."""
    figures = {}
    for workers in (1, 2):
        service = Service(folder, workers, "shared")
        figures[f"new_loader_{workers}_workers"] = under_load(service, service.handover, 6)
    service = Service(folder, 1, "shared")

    def reload() -> None:
        with socket.create_connection(("127.0.0.1", service.port)) as line:
            line.sendall(b"POST /reload HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            while line.recv(65536):
                pass

    figures["thread_in_worker"] = under_load(service, reload, 4)
    return figures


def several_listeners(count: int = 200) -> Figures:
    """Measure (c): what one socket for each worker (SO_REUSEPORT) loses when one leaves."""

    def listener(port: int) -> socket.socket:
        made = socket.socket()
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        made.bind(("127.0.0.1", port))
        made.listen(1024)
        return made

    old = listener(0)
    new = listener(old.getsockname()[1])
    clients = [socket.create_connection(old.getsockname()) for _ in range(count)]
    old.close()
    reset = 0
    for client in clients:
        client.setblocking(False)
        try:
            reset += client.recv(1) == b""
        except BlockingIOError:
            pass
        except ConnectionResetError:
            reset += 1
        client.close()
    new.close()
    return {"queued": count, "reset": reset}


def compaction(folder: Path, items: int) -> Figures:
    """Measure (d): rebuilding the index in a new loader, at two priorities."""
    figures = {}
    for nice in (0, 10):
        service = Service(folder, 1, "shared")
        how = {"items": items, "threads": 1, "nice": nice}
        (folder / "rebuild.json").write_text(json.dumps(how))
        figures[f"nice_{nice}"] = under_load(service, service.handover, 0.25 * items / 1000)
        figures[f"nice_{nice}"] |= json.loads((folder / "rebuilt.json").read_text())
        (folder / "rebuild.json").unlink()
    return figures


@contextlib.contextmanager
def catalogue(items: int, dim: int) -> Iterator[Path]:
    """Build vectors and index once, in a folder that goes away."""
    import numpy as np

    from benchmarks.process_model_app import build, clustered

    with tempfile.TemporaryDirectory() as name:
        vectors = clustered(items, dim)
        np.save(Path(name) / "vectors.npy", vectors)
        build(vectors, threads=-1).save_index(str(Path(name) / "index.bin"))
        yield Path(name)


def measure(items: int, dim: int) -> Figures:
    """Answer all questions; about two minutes for 200,000 items on two cores."""
    rebuilt = items // 4
    with catalogue(items, dim) as folder:
        figures = {
            "sharing": sharing(folder),
            "sessions": sessions(),
            "handover": handover(folder),
            "several_listeners": several_listeners(),
            "compaction": compaction(folder, rebuilt),
        }
    shared, each = figures["sharing"]["shared_2"], figures["sharing"]["each_2"]
    thread, loader = (figures["handover"][n] for n in ("thread_in_worker", "new_loader_1_workers"))
    ratios = {
        "memory_each_to_shared": each["total_pss_mib"] / shared["total_pss_mib"],
        "start_each_to_shared": max(each["fork_to_serving_s"]) / max(shared["fork_to_serving_s"]),
        "stall_thread_to_loader": thread["during"]["longest_ms"] / loader["during"]["longest_ms"],
        "rebuild_cpu_s_per_100k": figures["compaction"]["nice_0"]["cpu_s"] / rebuilt * 100_000,
    }
    parameters: Figures = {"items": items, "dim": dim, "rebuilt": rebuilt, "k": 100, "ef": 100}
    parameters |= {"kept": KEPT, "fresh": FRESH, "rate_each": RATE, "linger_s": LINGER_S}
    return {
        "name": "process_model",
        "machine": machine(),
        "parameters": parameters,
        "figures": figures,
        "ratios": {name: round(value, 2) for name, value in ratios.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--items", type=int, default=200_000)
    parser.add_argument("--dim", type=int, default=64)
    arguments = parser.parse_args()
    result = json.dumps(measure(arguments.items, arguments.dim), indent=2)
    if arguments.json:
        arguments.json.write_text(result + "\n")
    else:
        sys.stdout.write(result + "\n")


if __name__ == "__main__":
    main()
