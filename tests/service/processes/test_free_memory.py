import gc
import socket
from collections.abc import Collection
from typing import Any

from benchmarks.resident import MB, memory_of
from service.processes.control import Order, WorkerControl
from service.processes.free_memory import give_back
from service.processes.loader import Loader


class Wasteful:
    """Loads little, and frees much below it; tells what it had left."""

    left = 0

    def load(self, settings: Any, *, served: Collection[str]) -> Any:
        blocks = [bytes(1000) for _ in range(100_000)]  # too large for Python's own arenas
        last = blocks[-1]  # holds the end of the heap where it is
        del blocks
        self.left = memory_of([0]).anonymous
        return last

    def versions(self, generation: Any) -> Collection[str]:
        return ()

    def run_worker(
        self, settings: Any, generation: Any, sock: socket.socket, control: WorkerControl
    ) -> None:
        raise AssertionError


def test_a_loader_forks_without_what_its_load_has_freed() -> None:
    ends = [end for _ in range(3) for end in socket.socketpair()]
    application = Wasteful()
    loader = Loader(Order(None, 1, 1.0, 2.0, ()), application, *ends[:3])
    try:
        generation = loader._load()
        assert application.left - memory_of([0]).anonymous > 50 * MB
        assert len(generation) == 1000
    finally:
        gc.unfreeze()
        for end in ends:
            end.close()


def test_a_system_without_such_a_call_is_no_fault() -> None:
    class Library:
        pass

    give_back(Library())  # type: ignore[arg-type]
