"""How long a service keeps a probe waiting, beside a twin that does nothing but answer.

`python -m benchmarks.startup.stalls PORT TWIN SECONDS` asks both every 2 ms for `/livez`, timed
from when it was due, and prints the longest wait (ms) of each as JSON.
"""

import json
import select
import sys
import time

from benchmarks.recall_http.load import SLACK_S, Failed, Line

EVERY_S = 0.002
REQUEST = b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n"


def longest_ms(ports: list[int], seconds: float) -> list[float]:
    """Return the longest wait for each port.

    Raises:
        Failed: Something else than an answer with 200 came, or none.

    """
    lines = [Line(port) for port in ports]
    longest_s = [0.0 for _ in ports]
    due_s = time.perf_counter()
    end_s = due_s + seconds
    busy: set[int] = set()
    while busy or due_s < end_s:
        now_s = time.perf_counter()
        if now_s >= due_s and due_s < end_s:
            for at, line in enumerate(lines):
                if at not in busy:  # who still owes an answer is not asked again
                    line.send(REQUEST, due_s)
                    busy.add(at)
            due_s = max(due_s + EVERY_S, now_s)
        timeout_s = max(0.0, due_s - time.perf_counter()) if due_s < end_s else SLACK_S
        ready, _, _ = select.select([lines[at] for at in busy], [], [], timeout_s)
        if not ready and timeout_s == SLACK_S:
            raise Failed(f"no answer within {SLACK_S:g} s")
        for line in ready:
            if line.read():
                at = lines.index(line)
                busy.remove(at)
                longest_s[at] = max(longest_s[at], time.perf_counter() - line.due_s)
    for line in lines:
        line.socket.close()
    return [1000 * one for one in longest_s]


if __name__ == "__main__":
    ports, seconds = [int(one) for one in sys.argv[1:3]], float(sys.argv[3])
    sys.stdout.write(json.dumps(longest_ms(ports, seconds)))
