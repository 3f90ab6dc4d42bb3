"""A service with keys, as a process: they rotate while it serves, commands bring them, no leak."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, unquote

import httpx
import pytest

import firstsight
from service.keys.key import digest_of, new_key
from tests.end_to_end.processes import Served
from tests.tiny import tiny_bundle

CANARY, LINE = new_key("canary", "admin")
TOKEN = """canary+token/of'the"environment=%41\\"""
"""Written otherwise in a URL, in JSON and in Python's own quotes."""
RECALL = "/recall?user_id=u&k=1"


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    path = tmp_path / "keys"
    path.write_text(f"{LINE}\n")
    return path


@pytest.fixture
def served(tmp_path: Path, keys: Path) -> Iterator[Served]:
    bundle = tiny_bundle(tmp_path / "bundles")
    told = {"keys_file": keys, "admin_token": TOKEN, "log_level": "DEBUG", "audit": "true"}
    served = Served(tmp_path / "data", bundle, **told)
    yield served
    served.kill()


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def written(secret: str) -> set[str]:
    """Return a secret as it may stand in an answer or a line of the log."""
    bare = {secret, repr(secret)[1:-1], quote(secret), quote(secret, safe=""), unquote(secret)}
    return bare | {json.dumps(one)[1:-1] for one in bare}


Sent = tuple[str, str, dict[str, str], object, int]


def sent_everywhere(key: str) -> list[Sent]:
    """Give requests that carry a key where it belongs and where it does not, and their statuses."""
    coded = quote(key, safe="")
    no_bundle = 404 if key == CANARY else 422  # which could be no version's name
    return [
        ("GET", RECALL, bearer(key), None, 200),
        ("PUT", "/users/u", bearer(key), {"country": "de"}, 200),
        ("GET", RECALL, bearer(key + "x"), None, 401),
        ("GET", RECALL, {"authorization": f"Basic {key}"}, None, 401),
        ("GET", RECALL, {"authorization": key}, None, 401),
        ("GET", RECALL, {"x-api-key": key, "cookie": f"key={key}"}, None, 401),
        ("GET", f"{RECALL}&key={coded}", {}, None, 401),
        ("GET", f"{RECALL}&{coded}={coded}", bearer(key), None, 422),
        ("GET", f"{RECALL}&{key}={key}", bearer(key), None, 422),
        ("GET", RECALL, bearer(key) | {"x-request-timeout-ms": key}, None, 422),
        ("GET", f"/{coded}", {}, None, 404),
        ("GET", f"/{'x' * 60}{coded}", {}, None, 404),
        ("GET", f"/items/{coded}", bearer(key), None, 404),
        ("DELETE", f"/users/{coded}", bearer(key), None, 204),
        ("DELETE", f"/users/{'x' * 240}{coded}", bearer(key), None, 422),
        ("POST", f"/bundles/{coded}/activate", bearer(key), None, no_bundle),
        ("POST", "/recall", bearer(key), {"key": key}, 422),
        ("POST", "/recall", bearer(key), {key: key}, 422),
        ("POST", "/items", bearer(key), {"items": [{"id": key, "length": key}]}, 200),
        ("POST", "/items", bearer(key), {"id": key, "length": key}, 422),
        ("PUT", "/users/u", bearer(key), {"country": {"key": key}}, 422),
        ("POST", "/recall", bearer(key) | {"content-type": key}, None, 415),
    ]


def test_a_key_is_in_no_log_metric_or_error_wherever_it_was_sent(served: Served) -> None:
    told = []
    with httpx.Client(base_url=f"http://127.0.0.1:{served.port}", timeout=20) as client:
        client.put("/users/u", headers=bearer(CANARY), json={}).raise_for_status()
        for key in (CANARY, TOKEN):
            for method, path, headers, body, status in sent_everywhere(key):
                answer = client.request(method, path, headers=headers, json=body)
                assert answer.status_code == status, (method, path, answer.text)
                told.append(answer.text)
        told.append(client.get("/metrics").text)
        told.append(client.get("/readyz").text)
    assert served.stop() == 0
    log = served.log.read_text("utf-8")
    assert '"operation": "put_user"' in log  # it is the log that was looked through
    assert '"level": "DEBUG"' in log
    for text in (*told, log):
        for secret in (*written(CANARY), *written(TOKEN), digest_of(CANARY.encode()).hex()):
            assert secret not in text
        for key in (CANARY, TOKEN):
            assert key[:16] not in text  # nor one that was cut with what it stood in


def test_keys_rotate_while_it_serves(served: Served, keys: Path) -> None:
    def status(key: str) -> int:
        return httpx.get(f"http://127.0.0.1:{served.port}{RECALL}", headers=bearer(key)).status_code

    def until(key: str, expected: int) -> None:
        give_up_s = time.monotonic() + 10
        while status(key) != expected:
            assert time.monotonic() < give_up_s
            time.sleep(0.05)

    key, line = new_key("next", "recall")
    assert (status(CANARY), status(key)) == (200, 401)
    keys.write_text(f"{LINE}\n{line}\n")
    until(key, 200)
    assert status(CANARY) == 200
    keys.write_text(f"{line}\n")
    until(CANARY, 401)
    keys.write_text("half a line")
    gauge = "firstsight_keys_refused 1.0"
    give_up_s = time.monotonic() + 10
    while gauge not in served.read("/metrics"):
        assert time.monotonic() < give_up_s
        time.sleep(0.05)
    assert status(key) == 200
    assert "keys not read" in served.log.read_text("utf-8")


def test_commands_bring_the_key(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = tmp_path / "items.csv"
    table.write_text("item_id,length\nnew,1\n")
    url = f"http://127.0.0.1:{served.port}"
    assert firstsight.run(["items", "load", str(table), "--url", url]) == 1
    monkeypatch.setenv("FIRSTSIGHT_KEY", CANARY)
    assert firstsight.run(["items", "load", str(table), "--url", url]) == 0
    assert firstsight.run(["items", "delete", "new", "--url", url]) == 0
    monkeypatch.delenv("FIRSTSIGHT_KEY")
    monkeypatch.setenv("FIRSTSIGHT_ADMIN_TOKEN", TOKEN)
    assert firstsight.run(["items", "load", str(table), "--url", url]) == 0
