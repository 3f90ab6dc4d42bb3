"""Real servers on ports of the loopback: single ones, a cluster of them, and their Sentinels."""

import random
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.crc import key_slot
from redis.retry import Retry

from service.redis.embedded import server_binary
from service.redis.slots import Slots
from tests.service.store.certificates import Certificates

BUS = 10_000
"""A node of a cluster listens there too, above its port."""
SLOTS = 16_384


def eventually(claim: Callable[[], object], within_s: float = 60.0) -> float:
    """Wait until something is true; return how long that took (s)."""
    begun_s = time.monotonic()
    while not claim():
        assert time.monotonic() - begun_s < within_s, "it did not come true"
        time.sleep(0.02)
    return time.monotonic() - begun_s


def free_pair() -> int:
    """Return a port that is free, as is the one of the bus; below those that clients are given."""
    while True:
        port = random.SystemRandom().randrange(10_000, 22_000)
        try:
            for one in (port, port + BUS):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", one))
        except OSError:
            continue
        return port


class Server:
    """One server; keeps nothing on disk unless its options say so.

    With `certificates` it speaks TLS only, and asks its clients for a certificate.
    """

    certificates: Certificates | None = None
    password: str | None = None

    def __init__(self, folder: Path, *options: str, binary: Path | None = None) -> None:
        self.folder = folder
        self.options = options
        self.binary = binary or server_binary()
        self.port = free_pair()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def name(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"redis://{self.name}"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        while True:
            self.process = subprocess.Popen(
                [self.binary, *self.words()], stdout=subprocess.DEVNULL, cwd=self.folder
            )
            until_s = time.monotonic() + 10
            while self.process.poll() is None and time.monotonic() < until_s:
                if self.answers():
                    return
                time.sleep(0.01)
            self.kill()
            self.port = free_pair()  # somebody else was faster

    def words(self) -> list[str]:
        if self.certificates is None:
            words = ["--port", str(self.port)]
        else:
            words = ["--port", "0", "--tls-port", str(self.port), *self.certificates.words]
        words += ["--bind", "127.0.0.1", "--dir", str(self.folder)]
        return [*words, "--save", "", "--loglevel", "warning", *self.options]

    def client(self, **options: Any) -> "redis.Redis":
        told = {"socket_timeout": 5, "retry": Retry(NoBackoff(), 0), "password": self.password}
        told |= {} if self.certificates is None else self.certificates.options
        return redis.Redis("127.0.0.1", self.port, **{**told, **options})

    def do(self, *words: str | int) -> Any:
        """Send one command over a connection of its own."""
        with self.client() as client:
            return client.execute_command(*words)

    def answers(self) -> bool:
        try:
            return bool(self.do("PING"))
        except redis.RedisError:
            return False

    def kill(self) -> None:
        """Kill -9."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()


class Cluster:
    """Primaries with equal parts of the slots, and no replicas unless they are added."""

    def __init__(
        self,
        folder: Path,
        count: int = 3,
        *options: str,
        binary: Path | None = None,
        certificates: Certificates | None = None,
    ) -> None:
        self._folder = folder
        self._binary = binary
        self._certificates = certificates
        self._options = options
        self.nodes = [self._start() for _ in range(count)]
        for n, node in enumerate(self.nodes):
            node.do("CLUSTER", "SET-CONFIG-EPOCH", n + 1)
            slots = range(SLOTS * n // count, SLOTS * (n + 1) // count)
            node.do("CLUSTER", "ADDSLOTS", *slots)
            node.do("CLUSTER", "MEET", "127.0.0.1", self.nodes[0].port)
        eventually(self.is_well)

    def _start(self) -> Server:
        options = ["--cluster-enabled", "yes", "--cluster-node-timeout", "1000"]
        options += ["--cluster-require-full-coverage", "no", *self._options]
        folder = self._folder / str(random.SystemRandom().getrandbits(32))
        node = Server(folder, *options, binary=self._binary)
        node.certificates = self._certificates
        node.start()
        return node

    @property
    def url(self) -> str:
        return "redis+cluster://" + ",".join(node.name for node in self.nodes)

    def is_well(self) -> bool:
        wanted = {b"cluster_state:ok", b"cluster_known_nodes:%d" % len(self.nodes)}
        return all(wanted <= set(node.do("CLUSTER", "INFO").split()) for node in self.nodes)

    def slots(self, node: Server | None = None) -> Slots:
        node = node or self.nodes[0]
        return Slots(node.do("CLUSTER", "SLOTS"), ("127.0.0.1", node.port))

    def holder(self, key: str, of: Sequence[Server] | None = None) -> Server:
        """Return the node that holds a key, as the first of some nodes knows it."""
        _, port = self.slots((of or self.nodes)[0]).of(key.encode())
        return next(node for node in self.nodes if node.port == port)

    def add_replica(self, of: Server) -> Server:
        """Add a replica of a node, and wait until it has all data."""
        node = self._start()
        self.nodes.append(node)
        node.do("CLUSTER", "MEET", "127.0.0.1", of.port)
        one = of.do("CLUSTER", "MYID").decode()
        eventually(lambda: _does(node, "CLUSTER", "REPLICATE", one))
        eventually(lambda: is_replicating(node))
        return node

    def begin_move(self, key: str, to: Server) -> Server:
        """Say that the slot of a key is being moved; return the node that has it."""
        slot = key_slot(key.encode())
        source = self.holder(key)
        to.do("CLUSTER", "SETSLOT", slot, "IMPORTING", source.do("CLUSTER", "MYID"))
        source.do("CLUSTER", "SETSLOT", slot, "MIGRATING", to.do("CLUSTER", "MYID"))
        return source

    def end_move(self, key: str, source: Server, to: Server, at_once: int = 100) -> None:
        """Move all keys of the slot, and then the slot."""
        slot = key_slot(key.encode())
        while keys := source.do("CLUSTER", "GETKEYSINSLOT", slot, at_once):
            source.do("MIGRATE", "127.0.0.1", to.port, "", 0, 5000, "KEYS", *keys)
        new = to.do("CLUSTER", "MYID")
        for node in [to, source, *self.nodes]:
            node.do("CLUSTER", "SETSLOT", slot, "NODE", new)

    def empty(self) -> None:
        for node in self.nodes:
            node.do("FLUSHALL")
            node.do("SCRIPT", "FLUSH")

    def kill(self) -> None:
        for node in self.nodes:
            node.kill()


class Sentinel(Server):
    """Watches a primary under the name `ours`, and makes a replica of it the primary when it ends.

    It is the only one that must agree.
    """

    def __init__(self, folder: Path, watched: Server, *config: str) -> None:
        super().__init__(folder, binary=watched.binary)
        self.certificates = watched.certificates
        self.watched = watched
        self.config = config

    def words(self) -> list[str]:
        lines = [
            *self._ports(),
            "bind 127.0.0.1",
            f"dir {self.folder}",
            f"sentinel monitor ours 127.0.0.1 {self.watched.port} 1",
            "sentinel down-after-milliseconds ours 400",
            "sentinel failover-timeout ours 3000",
            *self.config,
        ]
        path = self.folder / "sentinel.conf"
        path.write_text("\n".join(lines) + "\n")
        return [str(path), "--sentinel"]

    def _ports(self) -> list[str]:
        if self.certificates is None:
            return [f"port {self.port}"]
        words = self.certificates.words
        pairs = zip(words[::2], words[1::2], strict=True)
        told = [f"{name.removeprefix('--')} {value}" for name, value in pairs]
        return ["port 0", f"tls-port {self.port}", *told]

    def primary(self) -> int:
        """Return the port of the primary, as it knows it."""
        found = self.do("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "ours")
        return int(found[1])

    def replicas(self) -> int:
        """Return how many replicas it knows, all of them well."""
        with self.client() as client:
            found: Any = client.sentinel_slaves("ours")
        return sum(one["flags"] == "slave" for one in found)


def is_replicating(node: Server) -> bool:
    """Say whether a replica has all data."""
    with node.client() as client:
        info: dict[str, Any] = client.info("replication")
    return bool(info["role"] == "slave" and info["master_link_status"] == "up")


def _does(node: Server, *words: str) -> bool:
    try:
        node.do(*words)
    except redis.ResponseError:
        return False
    return True


@contextmanager
def running(*servers: Server) -> Iterator[None]:
    """Start servers, and kill them at the end."""
    try:
        for one in servers:
            one.start()
        yield
    finally:
        for one in servers:
            one.kill()
