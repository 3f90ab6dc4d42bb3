import asyncio
import contextlib
import http.client
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.processes.one_write import HEAD_BYTES, OneWrite
from tests.end_to_end.processes import Served
from tests.tiny import tiny_bundle

HEAD_S = 0.5
WHOLE = b"GET /version HTTP/1.1\r\nhost: x\r\n\r\n"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("heads")
    bundle = tiny_bundle(folder / "bundles")
    settings = {"limits__body_timeout_s": HEAD_S, "linger_s": 3}
    served = Served(folder / "data", bundle, **settings)
    yield served
    served.kill()


def connect(served: Served) -> socket.socket:
    return socket.create_connection(("127.0.0.1", served.port), timeout=10)


def answered(line: socket.socket) -> int:
    answer = http.client.HTTPResponse(line)
    answer.begin()
    answer.read()
    return answer.status


def seconds_until_closed(line: socket.socket, trickle: bytes) -> float:
    begun_s = time.monotonic()
    line.settimeout(HEAD_S / 5)
    while time.monotonic() - begun_s < 10 * HEAD_S:
        try:
            if line.recv(1000) == b"":
                return time.monotonic() - begun_s
            raise AssertionError("nothing was asked")
        except TimeoutError:
            if trickle:
                line.sendall(trickle)
        except ConnectionError:
            return time.monotonic() - begun_s
    raise AssertionError("it stays open")


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


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One request may be in work, and one is, for all the tests."""
    folder = tmp_path_factory.mktemp("full")
    settings = {"limits__body_timeout_s": HEAD_S, "limits__in_flight": 1, "linger_s": 3}
    served = Served(
        folder / "data", tiny_bundle(folder / "bundles"), after_wait_ms=600_000, **settings
    )
    try:
        with connect(served) as held:
            held.sendall(b"GET /recall?user_id=u&after=9999999999999-0 HTTP/1.1\r\nhost: x\r\n\r\n")
            while served.ask("GET", "/version")[0] != 503:
                pass
            yield served
    finally:
        served.kill()


BATCH = b"POST /items HTTP/1.1\r\nhost: x\r\ncontent-length: 6\r\n\r\n"


@pytest.mark.parametrize("request_of_one_piece", [WHOLE, BATCH + b"[null]"])
def test_a_connection_is_kept_after_a_refusal_as_after_an_answer(
    full: Served, request_of_one_piece: bytes
) -> None:
    with connect(full) as line:
        for pause_s in (0, 2 * HEAD_S):
            time.sleep(pause_s)
            line.sendall(request_of_one_piece)
            assert answered(line) == 503


def test_what_is_refused_has_no_longer_for_its_body_than_for_a_head(full: Served) -> None:
    with connect(full) as line:
        line.sendall(BATCH.replace(b": 6", b": 1000") + b"[")
        assert answered(line) == 503
        assert HEAD_S / 2 < seconds_until_closed(line, b" ") < 5 * HEAD_S


@pytest.mark.parametrize("refused", [2, 400])
def test_requests_sent_at_once_are_answered_each_in_its_turn(full: Served, refused: int) -> None:
    with connect(full) as line:
        line.sendall(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n" + WHOLE * refused)
        told = b""
        while told.count(b"HTTP/1.1 ") <= refused or not told.endswith(b"}"):
            told += line.recv(65_536)
        statuses = [int(part[:3]) for part in told.split(b"HTTP/1.1 ")[1:]]
        assert statuses == [200] + [503] * refused
        line.sendall(WHOLE)
        assert answered(line) == 503


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
