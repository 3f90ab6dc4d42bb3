"""TLS, by a redis-server on PATH that speaks it; the one of the wheel does not."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from shutil import which

import pytest

from service.records import UserRecord
from service.redis.policy import RedisRefused, refuse_unfit
from service.rollout.pointer import first_pointer
from service.rollout.pointer_store import PointerUnknown, change_pointer, read_pointer
from service.settings import Settings
from service.store import Store, StoreUnavailable
from tests.service.store.certificates import Certificates
from tests.service.store.servers import Cluster, Sentinel, Server, running
from tests.service.store.test_redis import VECTORS, put, with_store

USERS = [f"u{n}" for n in range(12)]


@pytest.fixture(scope="module")
def binary() -> Path:
    found = which("redis-server") or which("valkey-server")
    if found is None or which("openssl") is None:
        pytest.skip("not run: needs openssl, and a redis-server with TLS, on PATH")
    # With nothing to listen to it says so and ends; one without TLS knows no such option.
    words = [found, "--port", "0", "--tls-port", "0"]
    said = subprocess.run(words, capture_output=True, text=True, timeout=30)
    if "Bad directive" in said.stdout + said.stderr:
        pytest.skip(f"not run: {found} has no TLS")
    return Path(found)


@pytest.fixture(scope="module")
def certificates(binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def server(
    binary: Path, certificates: Certificates, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("tls"), binary=binary)
    server.certificates = certificates
    with running(server):
        yield server


def check(url: str) -> None:
    """Do one of everything over a URL."""
    refuse_unfit(url)

    async def use(store: Store) -> None:
        for one in USERS:
            await store.put_user(UserRecord(one, {"age": 1.0}))
        assert all(isinstance(one, UserRecord) for one in await store.get_users(USERS))
        written = await store.write_item(put("x"), VECTORS[0], "v", 0)
        assert (await store.log.state()).last == written.log_id
        await store.link.look()

    with_store(url, use)
    settings = Settings.model_validate({"redis": url})
    assert change_pointer(settings, None, first_pointer("one")) == read_pointer(settings)


def fails(url: str) -> None:
    """Check that it is not spoken to, by nobody."""
    with pytest.raises(StoreUnavailable):
        with_store(url, lambda store: store.link.ping())
    with pytest.raises(PointerUnknown):
        read_pointer(Settings.model_validate({"redis": url}))


def test_a_server_with_tls_is_spoken_to(server: Server, certificates: Certificates) -> None:
    check(f"rediss://{server.name}?{certificates.query}")


def test_an_authority_that_is_not_known_is_not_trusted(
    server: Server, certificates: Certificates
) -> None:
    query = certificates.query.partition("&")[2]
    assert "ssl_ca_certs" not in query
    fails(f"rediss://{server.name}?{query}")
    with_store(
        f"rediss://{server.name}?{query}&ssl_cert_reqs=none", lambda store: store.link.ping()
    )


def test_a_certificate_must_be_for_the_name_that_was_asked(
    server: Server, certificates: Certificates
) -> None:
    url = f"rediss://localhost:{server.port}?{certificates.query}"
    fails(url)
    with_store(f"{url}&ssl_check_hostname=false", lambda store: store.link.ping())


def test_without_a_certificate_of_ours_a_server_that_wants_one_refuses(
    server: Server, certificates: Certificates
) -> None:
    fails(f"rediss://{server.name}?ssl_ca_certs={certificates.ca}")


def test_without_tls_it_is_not_spoken_to(server: Server) -> None:
    fails(f"redis://{server.name}")


def test_a_file_that_is_missing_is_refused_at_the_start(server: Server) -> None:
    with pytest.raises(RedisRefused, match="ssl_ca_certs: no file /nowhere"):
        refuse_unfit(f"rediss://{server.name}?ssl_ca_certs=/nowhere")


def test_a_cluster_with_tls_is_spoken_to(
    binary: Path, certificates: Certificates, tmp_path: Path
) -> None:
    cluster = Cluster(tmp_path, 2, binary=binary, certificates=certificates)
    try:
        check(f"rediss+cluster://{cluster.nodes[0].name}?{certificates.query}")
        assert all(node.do("DBSIZE") for node in cluster.nodes)
    finally:
        cluster.kill()


def test_a_sentinel_with_tls_is_spoken_to(
    server: Server, certificates: Certificates, tmp_path: Path
) -> None:
    server.do("FLUSHALL")
    sentinel = Sentinel(tmp_path, server)
    with running(sentinel):
        check(f"rediss+sentinel://{sentinel.name}/ours?{certificates.query}")
        fails(f"redis+sentinel://{sentinel.name}/ours")
