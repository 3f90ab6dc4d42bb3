"""The embedded Redis keeps what it acknowledged, alone, in one folder."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import redis

from service.redis.embedded import (
    SOCKET_PATH_BYTES,
    EmbeddedRedis,
    RedisFailed,
    running_url,
    server_binary,
    server_version,
    socket_path,
)


def has_ended(pid: int) -> bool:
    """Say whether a process that is not our child is gone."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


def wait_until_ended(pid: int) -> None:
    deadline = time.monotonic() + 10
    while not has_ended(pid):
        assert time.monotonic() < deadline, f"process {pid} lives on"
        time.sleep(0.02)


def test_a_running_server_is_found_by_its_folder(tmp_path: Path) -> None:
    assert running_url(tmp_path) is None
    with EmbeddedRedis(tmp_path) as url:
        assert running_url(tmp_path) == url
    (tmp_path / "redis.sock").touch()  # what a killed server leaves
    assert running_url(tmp_path) is None


def test_server_is_durable_and_open_to_no_network(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path) as url, redis.Redis.from_url(url) as client:
        settings = client.config_get("*")
        mode = Path(client.connection_pool.connection_kwargs["path"]).stat().st_mode
    expected = {
        "appendonly": "yes",
        "appendfsync": "always",
        "maxmemory-policy": "noeviction",
        "maxmemory": "0",
        "save": "",
        "port": "0",
    }
    assert {key: settings[key] for key in expected} == expected
    assert mode & 0o077 == 0


def test_version_of_the_binary_is_the_one_the_server_reports(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path) as url, redis.Redis.from_url(url) as client:
        assert client.info("server")["redis_version"] == server_version(server_binary())


def test_acknowledged_write_survives_a_clean_stop(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path) as url, redis.Redis.from_url(url) as client:
        client.set("a", "1")
    with EmbeddedRedis(tmp_path) as url, redis.Redis.from_url(url) as client:
        assert client.get("a") == b"1"


def test_acknowledged_writes_survive_a_killed_server(tmp_path: Path) -> None:
    server = EmbeddedRedis(tmp_path)
    with redis.Redis.from_url(server.start()) as client:
        for number in range(100):
            client.set(f"k{number}", number)
        assert server.pid is not None
        os.kill(server.pid, signal.SIGKILL)
    while server.pid is not None:
        time.sleep(0.01)
    server.stop()
    with EmbeddedRedis(tmp_path) as url, redis.Redis.from_url(url) as client:
        assert client.dbsize() == 100


def test_half_a_command_at_the_end_of_the_log_is_dropped(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path) as url, redis.Redis.from_url(url) as client:
        client.set("whole", "1")
        client.set("half", "2")
    log = tmp_path / "appendonly.aof"
    os.truncate(log, log.stat().st_size - 3)
    with EmbeddedRedis(tmp_path) as url, redis.Redis.from_url(url) as client:
        assert client.keys("*") == [b"whole"]


def test_server_can_be_started_again_in_place_on_the_same_socket(tmp_path: Path) -> None:
    server = EmbeddedRedis(tmp_path)
    url = server.start()
    with redis.Redis.from_url(url) as client:
        client.set("a", "1")
    first = server.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    while server.pid is not None:
        time.sleep(0.01)
    server.spawn()
    server._wait_for_pong()
    with redis.Redis.from_url(url) as client:
        assert client.get("a") == b"1"
    assert server.pid != first
    server.stop()


def test_second_owner_of_a_folder_is_refused_in_one_line(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path) as url:
        with pytest.raises(RedisFailed, match=rf"in use by another firstsight .*{os.getpid()}"):
            EmbeddedRedis(tmp_path).start()
        with redis.Redis.from_url(url) as client:
            assert client.ping()


def test_folder_is_free_after_a_stop(tmp_path: Path) -> None:
    server = EmbeddedRedis(tmp_path)
    for _ in range(2):
        server.start()
        server.stop()
    assert server.pid is None
    server.stop()


OWNER = """
import sys, time
from pathlib import Path
from service.redis.embedded import EmbeddedRedis
server = EmbeddedRedis(Path(sys.argv[1]))
print(server.start(), server.pid, flush=True)
time.sleep(60)
"""


def test_server_ends_when_its_owner_is_killed_and_the_next_start_finds_the_data(
    tmp_path: Path,
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout is not None
        url, pid = owner.stdout.readline().split()
        with redis.Redis.from_url(url) as client:
            client.set("a", "1")
        owner.kill()
    with EmbeddedRedis(tmp_path) as url, redis.Redis.from_url(url) as client:  # at once
        assert client.get("a") == b"1"
    wait_until_ended(int(pid))


def test_orphaned_server_is_ended_before_a_new_one_starts(tmp_path: Path) -> None:
    """Where the kernel does not end it with its owner, the next owner does."""
    orphan = EmbeddedRedis(tmp_path)
    with redis.Redis.from_url(orphan.start()) as client:
        client.set("a", "1")
    os.close(orphan._locks.pop("owner"))  # what the death of an owner does
    os.close(orphan._locks.pop("server"))
    with EmbeddedRedis(tmp_path) as url, redis.Redis.from_url(url) as client:
        assert orphan.pid is None
        assert client.get("a") == b"1"


@pytest.mark.parametrize("length", [1, 60, 200])
def test_socket_path_always_fits_and_is_stable(tmp_path: Path, length: int) -> None:
    folder = tmp_path / ("d" * length)
    assert len(os.fsencode(socket_path(folder))) <= SOCKET_PATH_BYTES
    assert socket_path(folder) == socket_path(folder)


def test_long_and_odd_folder_serves(tmp_path: Path) -> None:
    folder = tmp_path / ("long " * 30) / "50% é"
    with EmbeddedRedis(folder) as url, redis.Redis.from_url(url) as client:
        client.set("a", "1")
        assert Path(client.config_get("dir")["dir"]) == folder
    odd = tmp_path / "50% é"
    with EmbeddedRedis(odd) as url, redis.Redis.from_url(url) as client:
        assert client.ping()


def test_linked_socket_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (tmp_path / f"firstsight-{os.getuid()}").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RedisFailed, match="expected a folder of mode 0700 that is yours"):
        socket_path(tmp_path / ("d" * 200))


def test_server_that_cannot_load_its_data_says_why(tmp_path: Path) -> None:
    (tmp_path / "appendonly.aof").write_bytes(b"this is no append only file\r\n")
    with pytest.raises(RedisFailed, match="Bad file format reading the append only file"):
        EmbeddedRedis(tmp_path).start()
    (tmp_path / "appendonly.aof").unlink()
    with EmbeddedRedis(tmp_path):  # and the folder is free again
        pass
