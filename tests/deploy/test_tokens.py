"""Signed tokens of others, which the gateway verifies and puts a key in the place of."""

import time
from collections.abc import Iterator

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from service.keys.key import new_key
from tests.deploy.gateway import HAPROXY, Gateway
from tests.end_to_end.processes import Served
from tests.tiny import tiny_bundle

pytestmark = pytest.mark.skipif(HAPROXY is None, reason="haproxy is not installed")

OURS, ANOTHER = (rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2))
PUBLIC = OURS.public_key().public_bytes(
    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
)
CLAIMS = {"aud": "recall.example.com", "scope": "reads", "exp": 4_000_000_000}


def signed(claims: dict[str, object] | None = None, key: rsa.RSAPrivateKey = OURS) -> str:
    """Return a token with these over the usual claims; one of None is left out."""
    told = {name: claim for name, claim in (CLAIMS | (claims or {})).items() if claim is not None}
    return "Bearer " + jwt.encode(told, key, "RS256")


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Gateway, str]]:
    """A gateway with tokens before a replica with keys, and one of these keys."""
    folder = tmp_path_factory.mktemp("tokens")
    key, line = new_key("readers", "recall")
    (folder / "keys").write_text(line)
    served = Served(folder / "data", tiny_bundle(folder / "bundles"), keys_file=folder / "keys")
    try:
        gateway = Gateway(
            [served.port],
            files={"TOKENS": PUBLIC.decode(), "SCOPES": f"reads {key}\n"},
            AUDIENCE="recall.example.com",
        )
        yield gateway, key
        gateway.stop()
    finally:
        served.kill()


def ask(gateway: Gateway, authorization: str, method: str = "GET") -> httpx.Response:
    with gateway.client() as client:
        path = "/recall?user_id=u&k=2" if method == "GET" else "/users/u"
        body: dict[str, object] | None = None if method == "GET" else {}
        return client.request(method, path, json=body, headers={"Authorization": authorization})


def test_a_signed_token_becomes_the_key_of_its_scope(gateway: tuple[Gateway, str]) -> None:
    through, key = gateway
    assert ask(through, signed()).status_code == 200
    assert ask(through, signed({"nbf": int(time.time()) - 60})).status_code == 200
    assert ask(through, signed(), "PUT").status_code == 403  # the key's scope
    logged = through.log.read_text() + through.errors.read_text()
    assert key not in logged
    assert signed().removeprefix("Bearer ") not in logged


@pytest.mark.parametrize("claims", [
    {"exp": int(time.time()) - 60}, {"exp": None}, {"nbf": 3_900_000_000},
    {"aud": "elsewhere"}, {"aud": None}, {"aud": ["recall.example.com", "elsewhere"]},
], ids=["expired", "without end", "not yet", "for another", "for nobody", "for many"])  # fmt: skip
def test_a_token_that_is_not_for_here_or_now_is_refused(
    gateway: tuple[Gateway, str], claims: dict[str, object]
) -> None:
    answer = ask(gateway[0], signed(claims))
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_what_nobody_signed_is_refused(gateway: tuple[Gateway, str]) -> None:
    through, key = gateway
    unsigned = jwt.encode(CLAIMS, "", "none")
    head, claims, signature = signed().split(".")
    for bad in (
        "",
        "Bearer",
        "Bearer a.b.c",
        f"Bearer {key}",
        f"Bearer {unsigned}",
        signed(key=ANOTHER),
        f"{head}.{claims}.",
        f"{head}.{signed({'scope': 'all'}).split('.')[1]}.{signature}",
    ):
        assert ask(through, bad).status_code == 401, bad


def test_a_scope_that_has_no_key_opens_nothing(gateway: tuple[Gateway, str]) -> None:
    for scope in ("writes", None):
        answer = ask(gateway[0], signed({"scope": scope}))
        assert (answer.status_code, answer.json()["status"]) == (403, 403)
        assert answer.headers["Content-Type"] == "application/problem+json"


def test_probes_need_no_token(gateway: tuple[Gateway, str]) -> None:
    with gateway[0].client() as client:
        assert {client.get(path).status_code for path in ("/livez", "/readyz")} <= {200, 204}
