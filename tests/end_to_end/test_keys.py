"""A service with keys, as a process: they rotate while it serves, commands bring them, no leak."""

import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

import firstsight
from service.keys.key import digest_of, new_key
from tests.end_to_end.processes import Served
from tests.tiny import tiny_bundle

CANARY, LINE = new_key("canary", "admin")
TOKEN = "canary-token-of-the-environment"
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


def test_a_key_is_in_no_log_metric_or_error_wherever_it_was_sent(served: Served) -> None:
    sent: list[tuple[str, str, dict[str, str], object, int]] = [
        ("GET", RECALL, bearer(CANARY), None, 200),
        ("GET", RECALL, bearer(TOKEN), None, 200),
        ("PUT", "/users/u", bearer(CANARY), {"country": "de"}, 201),
        ("GET", RECALL, bearer(CANARY + "x"), None, 401),
        ("GET", RECALL, {"authorization": f"Basic {CANARY}"}, None, 401),
        ("GET", RECALL, {"authorization": CANARY}, None, 401),
        ("GET", RECALL, {"x-api-key": CANARY, "cookie": f"key={CANARY}"}, None, 401),
        ("GET", f"{RECALL}&key={CANARY}", {}, None, 401),
        ("GET", f"{RECALL}&{CANARY}={CANARY}", bearer(CANARY), None, 422),
        ("GET", RECALL, bearer(CANARY) | {"x-request-timeout-ms": CANARY}, None, 422),
        ("GET", f"/{CANARY}", {}, None, 404),
        ("GET", f"/items/{CANARY}", bearer(CANARY), None, 404),
        ("DELETE", f"/users/{CANARY}", bearer(CANARY), None, 204),
        ("POST", f"/bundles/{CANARY}/activate", bearer(CANARY), None, 404),
        ("POST", "/recall", bearer(CANARY), {"key": CANARY}, 422),
        ("POST", "/items", bearer(CANARY), {"items": [{"id": CANARY, "length": CANARY}]}, 200),
        ("PUT", "/users/u", bearer(CANARY), {"country": {"key": CANARY}}, 422),
        ("POST", "/recall", bearer(CANARY) | {"content-type": CANARY}, None, 415),
    ]
    told = []
    with httpx.Client(base_url=f"http://127.0.0.1:{served.port}", timeout=20) as client:
        for method, path, headers, body, status in sent:
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
        for secret in (CANARY, TOKEN, digest_of(CANARY.encode()).hex()):
            assert secret not in text


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
