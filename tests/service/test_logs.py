"""What a real service writes to standard output and error."""

import json
import socket
import textwrap
import time
from pathlib import Path

import pytest

from tests.end_to_end.processes import Served
from tests.tiny import tiny_bundle

MEMBERS = {"time", "level", "logger", "message", "request_id"}

# Run by every process of the service as it starts: what others would print is written once
# the service has said how it logs.
CUSTOM = """
import logging, threading, time, warnings

def disturb():
    while not any(one.formatter for one in logging.getLogger().handlers):
        time.sleep(0.01)
    warnings.warn("canary warned")

    class Left:
        def __del__(self):
            raise ValueError("canary left")

    Left()
    raise ValueError("canary raised")

threading.Thread(target=disturb, daemon=True).start()
"""


def test_every_line_of_a_service_is_json_whoever_writes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text(textwrap.dedent(CUSTOM))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    bundle = tiny_bundle(tmp_path / "bundles")
    served = Served(tmp_path / "data", bundle, log_level="DEBUG")
    try:
        with socket.create_connection(("127.0.0.1", served.port), timeout=10) as line:
            head = b"GET /recall?user_id=u HTTP/1.1\r\nhost: x\r\nx-request-id: r-1\r\n\r\n"
            line.sendall(head)
            assert b"200" in line.recv(64)
        with socket.create_connection(("127.0.0.1", served.port), timeout=10) as line:
            line.sendall(b"nonsense\r\n\r\n")
            line.recv(64)
        until_s = time.monotonic() + 10
        while "canary raised" not in served.log.read_text() and time.monotonic() < until_s:
            time.sleep(0.05)
        assert served.stop() == 0
    finally:
        served.kill()
    lines = [json.loads(line) for line in served.log.read_text().splitlines()]
    assert all(line.keys() >= MEMBERS for line in lines)
    answered = [line for line in lines if line["message"] == "answered"]
    assert "r-1" in [line["request_id"] for line in answered]
    loggers = {line["logger"] for line in lines}
    assert {"py.warnings", "uvicorn.error", "service.logs", "service.supervisor"} <= loggers
    told = json.dumps(lines)
    assert all(f"canary {what}" in told for what in ("warned", "left", "raised"))
