"""Whatever befalls Redis, recalls are answered, soon, labelled, and with nobody else's user."""

import http.client
import json
import re
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from service.store.breaker import FAILURES, PAUSE_S, PROBE_S
from tests.end_to_end.processes import Served
from tests.faults.conftest import OwnRedis, eventually
from tests.faults.proxy import Proxy
from tests.tiny import TOPICS, tiny_bundle

STORE_TIMEOUT_S = 0.05
WRITE_TIMEOUT_S = 2.0
RECOVERED_S = 2.0
BUSY = 8
"""A bound on time is so many times what is promised, for the machine may be busy; what is promised
itself is what `benchmarks/soak/scenarios/outages.py` holds."""
USERS = 12


class Behind(NamedTuple):
    """The parts: a Redis, the proxy before it, and the service behind that."""

    server: OwnRedis
    proxy: Proxy
    served: Served


@pytest.fixture
def parts(behind: tuple[OwnRedis, Proxy, Served]) -> Iterator[Behind]:
    """All parts, well: and left so."""
    parts = Behind(*behind)
    well(parts)
    for number in range(USERS):
        path = f"/users/u{number}"
        body = {"taste": {TOPICS[number % len(TOPICS)]: 1.0}, "age": 20.0 + number}
        assert parts.served.ask("PUT", path, body)[0] in (200, 201)
    yield parts
    parts.proxy.fault = "pass"
    if parts.server.process.poll() is None:
        parts.server.process.send_signal(signal.SIGCONT)
    else:
        parts.server.start()
    well(parts)


def well(parts: Behind) -> None:
    """Wait until Redis is asked again, the log followed and no breaker open."""
    eventually(lambda: parts.served.ask("GET", "/readyz")[1]["state"] == "ready")
    eventually(lambda: recall(parts.served)["degraded"] == [])


def recall(served: Served, user: int = 0) -> dict[str, Any]:
    status, answer = served.ask("GET", f"/recall?user_id=u{user}&k=20")
    assert status == 200, answer
    assert answer["user_id"] == f"u{user}"
    return dict(answer)


def is_open(served: Served) -> float:
    line = http.client.HTTPConnection("127.0.0.1", served.port, timeout=10)
    try:
        line.request("GET", "/metrics")
        text = line.getresponse().read().decode()
    finally:
        line.close()
    found = re.search(r"^firstsight_breaker_open (\S+)$", text, re.MULTILINE)
    assert found is not None, text
    return float(found[1])


def hang(parts: Behind) -> None:
    parts.proxy.fault = "hang"


def stop(parts: Behind) -> None:
    parts.server.process.send_signal(signal.SIGSTOP)


def slow(parts: Behind) -> None:
    parts.proxy.delay_s, parts.proxy.fault = 0.3, "delay"


def slower(parts: Behind) -> None:
    parts.proxy.delay_s, parts.proxy.fault = 0.1, "delay"


def cut(parts: Behind) -> None:
    parts.proxy.fault = "cut"


def kill(parts: Behind) -> None:
    parts.server.kill()


def heal(parts: Behind) -> None:
    """Undo any of these."""
    parts.proxy.fault = "pass"
    if parts.server.process.poll() is None:
        parts.server.process.send_signal(signal.SIGCONT)
    else:
        parts.server.start()


@pytest.mark.parametrize("fault", [hang, stop, slow, slower, cut, kill])
def test_a_faulty_redis_costs_a_few_timeouts_and_closes_when_it_is_well(
    parts: Behind, fault: Callable[[Behind], None]
) -> None:
    assert is_open(parts.served) == 0
    fault(parts)
    begun_s = time.monotonic()
    asked = parts.proxy.words[b"MGET"]
    opened_s = eventually(
        lambda: recall(parts.served)["degraded"] == ["store"] and is_open(parts.served) == 1
    )
    tried = parts.proxy.words[b"MGET"] - asked
    assert tried <= 2 * FAILURES  # and not one for each recall: a busy moment may reset the count
    asked = parts.proxy.words[b"MGET"]
    slowest_s = 0.0
    for number in range(40):
        sent_s = time.monotonic()
        answer = recall(parts.served, number % USERS)
        slowest_s = max(slowest_s, time.monotonic() - sent_s)
        assert (answer["state"], answer["degraded"]) == ("fallback", ["store"])
    assert slowest_s < BUSY * STORE_TIMEOUT_S + 1.0
    assert parts.proxy.words[b"MGET"] == asked  # while it is open nobody asks
    assert parts.served.ask("GET", "/readyz")[1]["waiting_for"] == "store"
    heal(parts)
    healed_s = eventually(lambda: is_open(parts.served) == 0)
    assert healed_s < BUSY * RECOVERED_S, (opened_s, time.monotonic() - begun_s)
    eventually(lambda: recall(parts.served)["degraded"] == [])
    assert recall(parts.served)["state"] == "warm"


def test_the_promise_of_two_seconds_is_kept_by_its_parts() -> None:
    assert PAUSE_S + PROBE_S + STORE_TIMEOUT_S * 2 < RECOVERED_S


@pytest.mark.parametrize("fault", ["cut", "duplicate", "delay", "hang"])
def test_no_answer_is_made_of_another_users_record(parts: Behind, fault: str) -> None:
    whole = {number: recall(parts.served, number)["items"] for number in range(USERS)}
    assert len({tuple(items) for items in whole.values()}) > 1
    popular = recall_of_nobody(parts.served)
    parts.proxy.delay_s = 0.04  # now and then in time
    wrong: list[object] = []

    def ask(number: int) -> str:
        answer = recall(parts.served, number % USERS)
        if answer["degraded"] == ["store"]:
            if answer["items"] != popular:
                wrong.append(answer)
        elif answer["state"] == "warm" and answer["items"] != whole[number % USERS]:
            wrong.append(answer)
        return str(answer["state"])

    with ThreadPoolExecutor(8) as pool:
        for turn in range(10):
            parts.proxy.fault = "pass" if turn % 2 else fault  # type: ignore[assignment]
            list(pool.map(ask, range(40)))
            time.sleep(0.3)
    assert wrong == []


def recall_of_nobody(served: Served) -> list[str]:
    status, answer = served.ask("GET", "/recall?user_id=nobody&k=20")
    assert status == 200
    return list(answer["items"])


@pytest.mark.parametrize("fault", [slow, slower])
def test_a_user_is_read_from_a_redis_that_is_too_slow_for_recalls(
    parts: Behind, fault: Callable[[Behind], None]
) -> None:
    fault(parts)
    eventually(lambda: is_open(parts.served) == 1 or not recall(parts.served)["degraded"])
    for number in range(USERS):
        status, user = parts.served.ask("GET", f"/users/u{number}")
        assert (status, user["record"]["age"]) == (200, 20.0 + number)
    assert recall(parts.served)["degraded"] == ["store"]


def test_calls_by_id_are_refused_soon_at_once_when_redis_is_silent(parts: Behind) -> None:
    stop(parts)
    item = {"id": "x", "topics": ["art"]}
    status, problem = parts.served.ask("POST", "/items", item)
    assert (status, problem["type"]) == (503, "/docs#store-unavailable")
    for _ in range(FAILURES):
        parts.served.ask("POST", "/items", item)
    asked = parts.proxy.words[b"EVALSHA"]
    for _ in range(20):
        assert parts.served.ask("POST", "/items", item)[0] == 503
    assert parts.proxy.words[b"EVALSHA"] == asked
    begun_s = time.monotonic()
    for number in range(USERS):
        status, problem = parts.served.ask("GET", f"/users/u{number}")
        assert (status, problem["type"]) == (503, "/docs#store-unavailable")
    assert time.monotonic() - begun_s < USERS * WRITE_TIMEOUT_S / 2
    heal(parts)
    eventually(lambda: parts.served.ask("POST", "/items", item)[0] in (200, 201))


def test_a_redis_that_is_down_at_the_start_is_found_when_it_comes(tmp_path: Path) -> None:
    server = OwnRedis(tmp_path)
    bundle = tiny_bundle(tmp_path / "bundles")
    served = Served(tmp_path / "served", bundle, "--redis", f"redis://127.0.0.1:{server.port}")
    try:
        assert served.ask("GET", "/livez")[0] == 200
        status, ready = served.ask("GET", "/readyz")
        assert (status, ready["state"], ready["waiting_for"]) == (200, "degraded", "store")
        assert ready["durability"] is None
        assert recall(served)["degraded"] == ["store"]
        server.start()
        eventually(lambda: served.ask("GET", "/readyz")[1]["state"] == "ready")
        eventually(lambda: served.ask("GET", "/readyz")[1]["durability"] == "fsync")
        status, posted = served.ask("POST", "/items", {"id": "x", "topics": ["art"]})
        assert (status, posted["durable"]) == (201, True), json.dumps(posted)
        server.kill()
        server.start()
        eventually(lambda: served.ask("GET", "/items/x")[0] == 200)
    finally:
        served.kill()
        if hasattr(server, "process"):
            server.kill()
