"""Messages arrive whole, in order, and the end is noticed."""

import socket
from collections.abc import Iterator

import pytest

from service.processes.backoff import Backoff
from service.processes.control import Channel, WorkerControl


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    near, far = socket.socketpair()
    with near, far:
        yield near, far


def test_messages_arrive_in_order(ends: tuple[socket.socket, socket.socket]) -> None:
    near, far = map(Channel, ends)
    near.say("ready", pid=7)
    near.say("handover", reason="two\nlines")
    assert far.hear() == [
        {"event": "ready", "pid": 7},
        {"event": "handover", "reason": "two\nlines"},
    ]
    assert far.hear() == []
    assert not far.has_ended


def test_message_in_pieces_is_heard_once_it_is_whole(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    far = Channel(ends[1])
    ends[0].sendall(b'{"event": "st')
    assert far.hear() == []
    ends[0].sendall(b'op"}\n{"ev')
    assert far.hear() == [{"event": "stop"}]


def test_last_words_are_heard_with_the_end(ends: tuple[socket.socket, socket.socket]) -> None:
    near, far = map(Channel, ends)
    near.say("failed", message="no")
    near.close()
    assert far.hear() == [{"event": "failed", "message": "no"}]
    assert far.hear() == []
    assert far.has_ended
    far.say("stop")  # to nobody, and no error


def test_control_alone_is_never_told_to_leave() -> None:
    control = WorkerControl.alone()
    control.ready()
    control.ask_handover("delta")
    assert control.channel.hear() == []
    assert not control.channel.has_ended
    assert not control.is_leaving
    control.close()


def test_waits_double_to_the_most_and_start_anew_after_a_steady_life() -> None:
    backoff = Backoff(first_s=1, most_s=4, steady_s=10)
    assert [backoff.wait_s(lived_s) for lived_s in (0, 0, 0, 0, 9, 10, 0)] == [1, 2, 4, 4, 4, 1, 2]
