"""What the machine itself needs to pass an item on: one process writes, another reads the log.

`python -m benchmarks.freshness.relay URL COUNT` writes so many values with an entry in a stream,
and prints as JSON how many milliseconds after each was sent another process had read it.
"""

import json
import subprocess
import sys
import time

from redis import Redis

STREAM, BODY = "bare-relay", "x" * 500
PAUSE_S, WAIT_MS = 0.005, 10_000


def write(url: str, count: int) -> list[float]:
    """Return the milliseconds until each value was read by another process."""
    with Redis.from_url(url) as redis:
        redis.delete(STREAM)
        words = [sys.executable, "-m", __spec__.name, url, str(count), "read"]
        reader = subprocess.Popen(words, stdout=subprocess.PIPE)
        assert reader.stdout is not None
        with reader.stdout:
            reader.stdout.readline()
            sent_s = []
            for number in range(count):
                sent_s.append(time.monotonic())
                with redis.pipeline(transaction=True) as line:
                    line.set(f"{STREAM}:{number}", BODY)
                    line.xadd(STREAM, {"number": number})
                    line.execute()
                time.sleep(PAUSE_S)
            came_s = json.loads(reader.stdout.read())
        reader.wait()
        redis.delete(STREAM, *(f"{STREAM}:{number}" for number in range(count)))
    return [1000 * (at - sent) for sent, at in zip(sent_s, came_s, strict=True)]


def read(url: str, count: int) -> list[float]:
    """Return when each entry was read, and its value."""
    came_s: list[float] = []
    with Redis.from_url(url) as redis:
        redis.ping()
        print(flush=True)  # noqa: T201 from now on it waits
        last = "0"
        while len(came_s) < count:
            told = redis.xread({STREAM: last}, block=WAIT_MS)
            if not told:
                raise TimeoutError(f"no entry within {WAIT_MS} ms")
            for at, entry in told[0][1]:
                last = at
                redis.get(f"{STREAM}:{entry[b'number'].decode()}")
                came_s.append(time.monotonic())
    return came_s


if __name__ == "__main__":
    does = read if sys.argv[3:] == ["read"] else write
    sys.stdout.write(json.dumps(does(sys.argv[1], int(sys.argv[2]))))
