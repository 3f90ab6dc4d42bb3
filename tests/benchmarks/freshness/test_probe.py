import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from benchmarks.freshness.probe import Plan, run


class Replica(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    recalls = 0

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self._answer(201, {"id": "probe-0"})

    def do_GET(self) -> None:
        cls = type(self)
        cls.recalls += 1
        self._answer(200, {"items": ["i1", "probe-0"] if cls.recalls == 5 else ["i1"]})

    def _answer(self, status: int, body: object) -> None:
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *args: object) -> None:
        pass


def test_a_probe_asks_until_its_item_is_recalled(tmp_path: Path) -> None:
    probes = tmp_path / "probes.json"
    probes.write_text(json.dumps([[3, {"id": "probe-0"}]]))
    with ThreadingHTTPServer(("127.0.0.1", 0), Replica) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        port = server.server_address[1]
        took = run(Plan(post_port=port, recall_port=port, probes=probes))
        server.shutdown()
        thread.join()
    assert Replica.recalls == 5
    assert (len(took.posted_ms), len(took.recalled_ms)) == (1, 1)
    assert took.recalled_ms[0] > 0
