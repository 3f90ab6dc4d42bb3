import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from benchmarks.startup.rounds import twin
from benchmarks.startup.stalls import longest_ms


class Stalls(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    answered = 0

    def do_GET(self) -> None:
        cls = type(self)
        cls.answered += 1
        if cls.answered == 20:
            time.sleep(0.15)
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *args: object) -> None:
        pass


def test_who_stalls_once_is_told_from_a_twin_that_does_not() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Stalls) as server, twin() as port:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        stalls_ms, twin_ms = longest_ms([server.server_address[1], port], 0.5)
        server.shutdown()
        thread.join()
    assert stalls_ms > 145
    assert 0 < twin_ms < 100
