import asyncio
import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.processes.one_write import HEAD_BYTES, OneWrite
from tests.end_to_end.processes import Served
from tests.service.processes.lines import HEAD_S, WHOLE, answered, connect, seconds_until_closed
from tests.tiny import tiny_bundle


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("heads")
    bundle = tiny_bundle(folder / "bundles")
    settings = {"limits__body_timeout_s": HEAD_S, "linger_s": 3}
    served = Served(folder / "data", bundle, **settings)
    yield served
    served.kill()


@pytest.mark.parametrize("after", [0, 1])
@pytest.mark.parametrize(
    ("begun", "trickle"),
    [(b"G", b""), (WHOLE[:-2], b""), (WHOLE[:-2], b"a"), (b"\r\n", b"\r\n")],
)
def test_a_connection_whose_head_does_not_come_in_time_is_closed(
    served: Served, begun: bytes, after: int, trickle: bytes
) -> None:
    with connect(served) as line:
        for _ in range(after):
            line.sendall(WHOLE)
            assert answered(line) == 200
        line.sendall(begun)
        assert HEAD_S / 2 < seconds_until_closed(line, trickle) < 5 * HEAD_S


def test_a_connection_on_which_nothing_is_ever_sent_is_closed(served: Served) -> None:
    with connect(served) as line:
        assert HEAD_S / 2 < seconds_until_closed(line, b"") < 5 * HEAD_S


def test_a_head_in_pieces_and_a_connection_that_is_kept_have_their_time(served: Served) -> None:
    with connect(served) as line:
        for pause_s in (0, 2 * HEAD_S):
            time.sleep(pause_s)
            for piece in (WHOLE[:7], WHOLE[7:20], WHOLE[20:]):
                line.sendall(piece)
                time.sleep(HEAD_S / 10)
            assert answered(line) == 200


def test_what_is_in_work_is_bounded_by_its_body_and_not_by_its_head(served: Served) -> None:
    with connect(served) as line:
        line.sendall(b"POST /recall HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{")
        assert answered(line) == 408


def test_a_head_without_end_is_cut_off_by_its_bytes_before_its_time(tmp_path: Path) -> None:
    served = Served(tmp_path / "data", tiny_bundle(tmp_path / "bundles"))  # which has 10 s
    try:
        for after, sent, is_closed in ((0, 60_000, False), (1, 60_000, False), (1, 70_000, True)):
            with connect(served) as line:
                for _ in range(after):
                    line.sendall(WHOLE)
                    assert answered(line) == 200
                line.sendall(WHOLE[:-2] + b"x: " + b"a" * sent)
                if is_closed:
                    assert sent > HEAD_BYTES
                    line.settimeout(5)
                    with contextlib.suppress(ConnectionError):
                        assert line.recv(1000) == b""
                else:
                    line.sendall(b"\r\n\r\n")
                    assert answered(line) == 200
    finally:
        served.kill()


class Recorded(asyncio.Transport):
    """Notes what reaches the system."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[bytes | str] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.calls.append(bytes(data))

    def close(self) -> None:
        self.calls.append("closed")

    def is_closing(self) -> bool:
        return "closed" in self.calls


def test_head_and_body_go_out_together_once_the_answer_is_whole() -> None:
    async def scene() -> None:
        below = Recorded()
        transport = OneWrite(below, asyncio.get_running_loop())
        transport.write(b"head")
        transport.write(b"body")
        assert below.calls == []
        transport.flush()
        assert below.calls == [b"headbody"]
        await asyncio.sleep(0)
        assert below.calls == [b"headbody"]

    asyncio.run(scene())


def test_what_is_not_whole_goes_out_when_the_turn_is_over() -> None:
    async def scene() -> None:
        below = Recorded()
        transport = OneWrite(below, asyncio.get_running_loop())
        transport.write(b"continue")
        await asyncio.sleep(0)
        assert below.calls == [b"continue"]

    asyncio.run(scene())


def test_what_is_held_is_sent_before_the_connection_is_closed() -> None:
    async def scene() -> None:
        below = Recorded()
        transport = OneWrite(below, asyncio.get_running_loop())
        transport.write(b"last")
        transport.close()
        assert below.calls == [b"last", "closed"]
        assert transport.is_closing()

    asyncio.run(scene())
