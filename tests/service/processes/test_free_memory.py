from benchmarks.resident import MB, memory_of
from service.processes.free_memory import give_back


def test_what_was_freed_below_what_is_still_held_goes_back_to_the_system() -> None:
    blocks = [bytes(1000) for _ in range(100_000)]  # too large for Python's own arenas
    last = blocks[-1]  # holds the end of the heap where it is
    full = memory_of([0]).anonymous
    del blocks
    freed = memory_of([0]).anonymous
    give_back()
    assert last is not None
    assert full - freed < 50 * MB  # else nothing was kept, and nothing is tried here
    assert freed - memory_of([0]).anonymous > 50 * MB


def test_a_system_without_such_a_call_is_no_fault() -> None:
    class Library:
        pass

    give_back(Library())  # type: ignore[arg-type]
