import http.server
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from benchmarks.recall_http.load import Failed, Load, Plan, ask

BODY = b'{"items":[]}'


class Answers(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    status, pause_s, stall_s, answered = 200, 0.0, 0.0, 0

    def do_GET(self) -> None:
        cls = type(self)
        cls.answered += 1
        if cls.answered == 20:
            time.sleep(cls.stall_s)
        self.send_response(self.status)
        self.send_header("content-length", str(len(BODY)))
        self.end_headers()
        self.wfile.flush()
        time.sleep(self.pause_s)  # so that head and body come apart
        self.wfile.write(BODY)

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def answering(**members: float) -> Iterator[int]:
    handler = type("Handler", (Answers,), members)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def plan(port: int, **more: object) -> Plan:
    given = {"connections": 2, "users": 5, "seconds": 0.3, "warm_s": 0.1} | more
    return Plan.model_validate({"port": port, **given})


def test_an_answer_in_two_pieces_is_one_and_cpu_is_of_the_named_processes() -> None:
    with answering(pause_s=0.002) as port:
        seen = ask(plan(port, server=[os.getpid()]))
    assert seen.answered > 5
    assert seen.p50_ms >= 2
    assert (seen.body_bytes, seen.redis_cpu_us) == (len(BODY), 0)
    assert seen.cpu_us > 0


def test_anything_but_200_fails() -> None:
    with answering(status=503) as port, pytest.raises(Failed, match="status 200, got b'HTTP/1.1 5"):
        Load(plan(port)).run()
    with answering(status=404) as port, pytest.raises(Failed, match="got b'HTTP/1.1 4"):
        ask(plan(port))  # from a process of its own too


def test_in_an_open_loop_whoever_waits_for_a_line_is_timed_from_when_they_were_due() -> None:
    with answering(stall_s=0.2) as port:
        load = Load(plan(port, connections=1, rate=200.0, seconds=0.6, warm_s=0.0))
        seen = load.run()
    waited = [at - due for due, at in load.answers if at - due > 0.1]
    assert len(waited) > 5  # not the one request alone that the stall has met
    assert seen.longest_ms >= 200
