"""Backup and recovery, by the commands of docs/recovery.md as they stand there."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pyarrow.parquet
import pytest
import redis

from service.redis.embedded import EmbeddedRedis, server_binary, socket_path
from tests.end_to_end.processes import START_S, Served, free_port, recalled
from tests.tiny import TOPICS, tiny_bundle

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "recovery.md").read_text("utf-8")
VERSION = "tiny-1"
OF_BUNDLES = ("firstsight bundle verify ", "firstsight bundle publish ")
STAY = ("redis-server ", "firstsight serve ")
BINARIES = ("/usr/bin", str(server_binary().parent))  # the system's, if it has one; the wheel's


def blocks(heading: str) -> list[str]:
    """Return the commands below a heading, block by block."""
    [part] = re.findall(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", PAGE, re.S | re.M)
    found = re.findall(r"^```bash\n(.*?)^```", part, re.S | re.M)
    assert found, heading
    return found


def of_redis(block: str) -> str:
    """Leave out what is done with bundles; one test does all, and each takes a program a second."""
    return "".join(line for line in block.splitlines(True) if not line.startswith(OF_BUNDLES))


class Site:
    """A Redis, a service and a place for backups; what the page calls them in the environment."""

    def __init__(self, folder: Path, binaries: str) -> None:
        self.folder, self.binaries = folder, binaries
        self.port, self.redis_port = free_port(), free_port()
        self.running: list[subprocess.Popen[bytes]] = []
        self.bundles, self.data, self.backup = (folder / n for n in ("bundles", "data", "backup"))
        self.backup.mkdir()
        conf = (ROOT / "deploy" / "redis.conf").read_text("utf-8")
        assert "bind * -::*\n" in conf
        (folder / "redis.conf").write_text(conf.replace("bind * -::*\n", "bind 127.0.0.1\n"))
        tiny_bundle(self.bundles)
        self.new_redis()
        self.use(binaries)
        own = str(Path(sys.executable).parent)
        self.environ = {k: v for k, v in os.environ.items() if not k.startswith("FIRSTSIGHT_")}
        self.environ |= {
            "PATH": f"{folder / 'bin'}:{own}:{os.environ['PATH']}",
            "REDIS_HOST": "127.0.0.1",
            "REDIS_PORT": str(self.redis_port),
            "REDIS_CONF": str(folder / "redis.conf"),
            "BACKUP": str(self.backup),
            "VERSION": VERSION,
            "FIRSTSIGHT_REDIS": f"redis://127.0.0.1:{self.redis_port}",
            "FIRSTSIGHT_BUNDLES": str(self.bundles),
            "FIRSTSIGHT_DATA_FOLDER": str(self.data),
            "FIRSTSIGHT_PORT": str(self.port),
            "FIRSTSIGHT_LINGER_S": "0.2",
        }

    def use(self, binaries: str) -> None:
        """Have the Redis of a folder be the one that commands find."""
        own = self.folder / "bin"
        own.mkdir(exist_ok=True)
        for name in ("redis-server", "redis-cli"):
            (own / name).unlink(missing_ok=True)
            (own / name).symlink_to(Path(binaries, name))

    def new_redis(self) -> None:
        """Have a new folder for Redis; the one before is gone."""
        shutil.rmtree(self.folder / "redis", ignore_errors=True)
        (self.folder / "redis").mkdir()

    def follow(self, heading: str) -> str:
        """Do what the page says below a heading; return what was printed."""
        return "".join(self.do(block) for block in blocks(heading))

    def follow_to_the_start(self, heading: str) -> None:
        """Do all that comes before replicas are started, to a Redis: bundles are as they were."""
        for block in blocks(heading)[:-1]:
            self.do(of_redis(block))

    def do(self, block: str) -> str:
        """Run one block; a server is left running."""
        environ = self.environ | {"REDIS_FOLDER": str(self.folder / "redis")}
        if block.startswith(STAY):
            [line] = block.splitlines()
            with (self.folder / "servers.log").open("ab") as log:
                process = subprocess.Popen(
                    ["bash", "-euc", f"exec {line}"],
                    env=environ, cwd=self.folder, stdout=log, stderr=log,
                )  # fmt: skip
            self.running.append(process)
            if block.startswith(STAY[0]):
                self.wait_for_redis()
            return ""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block],
            env=environ, cwd=self.folder, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr + self.log()
        return done.stdout

    def log(self) -> str:
        return (self.folder / "servers.log").read_text("utf-8")

    def start_redis(self) -> None:
        self.do('redis-server "$REDIS_CONF" --port "$REDIS_PORT" --dir "$REDIS_FOLDER"')

    def wait_for_redis(self) -> None:
        until = time.monotonic() + START_S
        while True:
            with contextlib.suppress(redis.RedisError), self.client() as client:
                client.ping()
                return
            assert time.monotonic() < until, self.log()
            time.sleep(0.05)

    def client(self) -> "redis.Redis":
        return redis.Redis(port=self.redis_port)

    def lose_redis(self) -> None:
        """Kill -9 it, and remove its data."""
        self.kill_redis()
        self.new_redis()

    def kill_redis(self) -> None:
        """Kill -9 it."""
        self.kill(next(one for one in self.running if "redis" in psutil.Process(one.pid).name()))

    def serve(self) -> Served:
        """Start a service as a user would who has these settings."""
        told = {
            k.removeprefix("FIRSTSIGHT_").lower(): v
            for k, v in self.environ.items()
            if k.startswith("FIRSTSIGHT_") and k not in ("FIRSTSIGHT_PORT", "FIRSTSIGHT_BUNDLES")
        }
        told.pop("data_folder")
        served = Served(self.data, self.bundles / VERSION, **told)
        self.running.append(served.process)
        self.environ["FIRSTSIGHT_PORT"] = str(served.port)
        return served

    def started(self) -> "Asked":
        """Return the service that the page's commands have started."""
        return Asked(int(self.environ["FIRSTSIGHT_PORT"]))

    def stop(self, served: Served) -> None:
        """End a service in order, with a snapshot."""
        assert served.stop() == 0
        self.running.remove(served.process)

    def kill(self, process: "subprocess.Popen[bytes]") -> None:
        self.running.remove(process)
        with contextlib.suppress(psutil.NoSuchProcess):
            top = psutil.Process(process.pid)
            for one in [*top.children(recursive=True), top]:
                with contextlib.suppress(psutil.NoSuchProcess):
                    one.kill()
        process.wait(timeout=20)


class Asked(Served):
    """A service that others have started."""

    def __init__(self, port: int) -> None:
        self.port = port


WITH_ONE = pytest.mark.parametrize("site", BINARIES[-1:], ids=["wheel"], indirect=True)
"""What asks nothing of a Redis but that it is one."""


@pytest.fixture(params=BINARIES, ids=["system", "wheel"])
def site(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Site]:
    if not (Path(request.param) / "redis-server").exists():
        pytest.skip(f"no redis-server in {request.param}")
    site = Site(tmp_path, request.param)
    try:
        yield site
    finally:
        for process in [*site.running]:
            site.kill(process)


def post(served: Served, *names: str) -> None:
    for name in names:
        answer = served.ask("POST", "/items", {"id": name, "topics": ["art"], "length": 5})
        assert answer[0] in (200, 201)
        assert answer[1]["durable"]


def put_user(served: Served, name: str) -> None:
    assert served.ask("PUT", f"/users/{name}", {"country": "de"})[0] in (200, 201, 204)


def names(count: int, prefix: str) -> list[str]:
    return [f"{prefix}{number}" for number in range(count)]


def before_the_backup(site: Site) -> Served:
    """Serve, write, remove, and back up."""
    site.start_redis()
    served = site.serve()
    post(served, *names(10, "before"))
    put_user(served, "u1")
    assert served.ask("DELETE", "/items/i3")[0] == 204
    for block in blocks("Backing up"):
        site.do(of_redis(block))
    return served


def assert_all_of_the_backup(served: Served) -> None:
    for name in names(10, "before"):
        assert recalled(served, name)
    assert not recalled(served, "i3")
    assert served.ask("GET", "/users/u1")[1]["record"]["country"] == "de"


def eventually(served: Served, **wanted: object) -> None:
    until = time.monotonic() + 20
    while True:
        status, told = served.ask("GET", "/readyz")
        if status == 200 and wanted.items() <= told.items():
            return
        assert time.monotonic() < until, told
        time.sleep(0.05)


def stored(site: Site) -> dict[str, int]:
    """Return revs by id, of Redis."""
    with site.client() as client:
        found: Any = client.zrange("{fs}:items", 0, -1, withscores=True)
    return {one.decode(): int(rev) for one, rev in found}


def eventually_stored(site: Site, wanted: dict[str, int]) -> None:
    until = time.monotonic() + 20
    while stored(site) != wanted:
        assert time.monotonic() < until, (stored(site), wanted)
        time.sleep(0.05)


def test_a_backup_that_is_restored_has_all_that_was_acknowledged_before_it(site: Site) -> None:
    """All that was there else is gone: Redis, snapshots, bundles."""
    before = before_the_backup(site)
    assert f"{VERSION}: good" in site.follow("Backing up")
    known = stored(site)
    before.kill()
    site.running.remove(before.process)
    site.lose_redis()
    shutil.rmtree(site.data)
    shutil.rmtree(site.bundles)

    *restore, look = blocks("Restoring a backup")
    said = "".join(site.do(block) for block in restore)
    assert "aof_enabled:1" in said
    assert "aof_last_bgrewrite_status:ok" in said
    served = site.serve()
    assert VERSION in site.do(look)
    assert_all_of_the_backup(served)
    assert stored(site) == known
    eventually(served, state="ready", durability="fsync", remedy=None)

    # And it keeps what it has through its own end, with its own configuration.
    post(served, "after")
    site.kill_redis()
    site.start_redis()
    assert {*stored(site)} == {*known, "after"}


def test_what_a_snapshot_has_beyond_the_backup_is_served_and_stored_again(site: Site) -> None:
    before = before_the_backup(site)
    post(before, *names(5, "after"), "before2")
    assert before.ask("DELETE", "/items/i4")[0] == 204
    known = stored(site)
    site.stop(before)  # it leaves a snapshot
    site.lose_redis()

    site.follow_to_the_start("Restoring a backup")
    assert {*known} - {*stored(site)} == {*names(5, "after"), "i4"}
    served = site.serve()
    assert_all_of_the_backup(served)
    assert all(recalled(served, name) for name in names(5, "after"))
    assert not recalled(served, "i4")
    eventually_stored(site, known)
    assert "log has a gap or was reset" in served.log.read_text("utf-8")
    post(served, "later", "before2")
    assert min(stored(site)["later"], stored(site)["before2"]) > max(known.values())


@WITH_ONE
def test_what_is_written_after_a_restore_wins_over_what_a_snapshot_has(site: Site) -> None:
    """By a replica that has no snapshot, and so has not heard of what came after the backup."""
    before = before_the_backup(site)
    for length in range(20, 25):
        item = {"id": "before2", "topics": ["cars"], "length": length}
        assert before.ask("POST", "/items", item)[0] == 200
    site.stop(before)
    site.lose_redis()
    site.follow_to_the_start("Restoring a backup")
    kept = site.data.rename(site.folder / "kept")
    fresh = site.serve()
    assert fresh.ask("POST", "/items", {"id": "before2", "topics": ["art"], "length": 99})[0] == 200
    site.stop(fresh)
    shutil.rmtree(site.data)
    kept.rename(site.data)
    served = site.serve()
    time.sleep(2)  # longer than it takes to reconcile after all items were read
    assert served.ask("GET", "/items/before2")[1]["record"]["length"] == 99


def test_a_replica_that_ran_on_brings_what_came_after_the_backup(site: Site) -> None:
    served = before_the_backup(site)
    post(served, *names(5, "after"))
    known = stored(site)
    site.lose_redis()
    site.follow_to_the_start("Restoring a backup")
    eventually(served, state="ready")
    eventually_stored(site, known)
    assert_all_of_the_backup(served)
    assert all(recalled(served, name) for name in names(5, "after"))


@WITH_ONE
def test_an_earlier_state_on_purpose_stays(site: Site) -> None:
    before = before_the_backup(site)
    known = stored(site)
    for name in names(10, "before"):
        assert before.ask("DELETE", f"/items/{name}")[0] == 204
    site.stop(before)
    assert [*site.data.glob("snapshots/*/*/*/manifest.json")]
    site.lose_redis()
    site.follow("Back to an earlier state on purpose")
    site.follow_to_the_start("Restoring a backup")
    served = site.serve()
    assert_all_of_the_backup(served)
    time.sleep(2)  # longer than it takes to reconcile after all items were read
    assert stored(site) == known


@WITH_ONE
def test_redis_is_lost_and_replicas_run(site: Site) -> None:
    served = before_the_backup(site)
    known = stored(site)
    site.lose_redis()
    site.start_redis()
    eventually_stored(site, known)
    assert "0" in site.follow("Redis is lost: replicas run")
    eventually(served, state="ready", version=VERSION)
    with site.client() as client:
        assert client.hget("{fs}:current", "current") == VERSION.encode()
    assert served.ask("GET", "/users/u1")[0] == 404  # of users Redis alone knows
    write_users(site)
    site.follow("Users again")
    assert_all_of_the_backup(served)


@WITH_ONE
def test_redis_is_lost_and_snapshots_are_left(site: Site) -> None:
    before = before_the_backup(site)
    known = stored(site)
    site.stop(before)
    site.lose_redis()
    site.start_redis()
    assert '"cursor"' in site.follow("Redis is lost: snapshots are left")
    assert stored(site) == known
    write_users(site)
    site.follow("Users again")
    assert_all_of_the_backup(site.started())


def write_users(site: Site) -> None:
    table = pa.table({"user_id": ["u1", "u2"], "country": ["de", "fr"]})
    pyarrow.parquet.write_table(table, site.folder / "users.parquet")


@WITH_ONE
def test_redis_is_lost_and_a_bundle_and_tables_are_left(site: Site) -> None:
    """No snapshot, no backup; the upstream table has new items, changed ones, and lacks some."""
    kept = pyarrow.parquet.read_table(site.bundles / VERSION / "items.parquet")
    ids = [one for one in kept["id"].to_pylist() if one not in ("i3", "i4")] + names(10, "before")
    topics = [[TOPICS[0]] for _ in ids]
    table = pa.table({"item_id": ids, "topics": topics, "length": [5.0] * len(ids)})
    pyarrow.parquet.write_table(table, site.folder / "items.parquet")
    site.start_redis()
    said = site.follow("Redis is lost: bundles and upstream tables are left")
    assert f"loaded {len(ids)}, refused 0" in said
    assert (site.folder / "removed.txt").read_text() == "i3\ni4\n"
    served = site.started()
    write_users(site)
    assert "loaded 2" in site.follow("Users again")
    assert_all_of_the_backup(served)
    assert not recalled(served, "i4")
    manifest = json.loads(next(site.data.glob("snapshots/*/*/*/manifest.json")).read_bytes())
    assert manifest["items"] == len(ids) + 2
    assert len(stored(site)) == len(ids) + 2


def test_a_redis_that_is_to_append_reads_no_dump(site: Site) -> None:
    before_the_backup(site)
    site.lose_redis()
    shutil.copy(site.backup / "redis.rdb", site.folder / "redis" / "dump.rdb")
    site.start_redis()
    with site.client() as client:
        assert client.dbsize() <= 1  # but for the pointer, which the replica has written by now


@WITH_ONE
def test_the_embedded_redis_is_backed_up_by_its_socket(site: Site) -> None:
    [command] = re.findall(r"`(redis-cli -s [^`]*) \.\.\.`", PAGE)
    with EmbeddedRedis(site.data / "redis") as url, redis.Redis.from_url(url) as client:
        client.set("a", "b")
        assert socket_path(site.data / "redis") == site.data / "redis" / "redis.sock"
        site.do(f'{command} "$BACKUP/redis.rdb"')
    shutil.copy(site.backup / "redis.rdb", site.folder / "redis" / "dump.rdb")
    *_, start, _, _, _ = blocks("Restoring a backup")
    site.do(start)
    with site.client() as client:
        assert client.get("a") == b"b"


def test_a_newer_redis_serves_what_an_older_one_wrote(site: Site) -> None:
    """The older one is that of the wheel, 6.2; on its append-only file."""
    site.use(BINARIES[-1])
    served = before_the_backup(site)
    known = stored(site)
    site.kill_redis()
    site.use(site.binaries)
    site.start_redis()
    eventually(served, state="ready", durability="fsync")
    assert_all_of_the_backup(served)
    assert stored(site) == known
    post(served, "after")


def test_every_test_that_the_page_names_is_here() -> None:
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    ours = {name for name in globals() if name.startswith("test_")}
    assert named == ours - {
        "test_every_test_that_the_page_names_is_here",
        "test_a_newer_redis_serves_what_an_older_one_wrote",
        "test_the_embedded_redis_is_backed_up_by_its_socket",
    }
