"""Who may call: the key decides; without keys the machine, but no gateway and no page."""

import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from export.contract.errors import ConfigError
from service.generation import Generation
from service.http.guard import FORWARDED
from service.http.operations import OPERATIONS, Operation
from service.keys.key import SCOPES, new_key
from service.rollout.bundles import publish
from service.rollout.pointer import Pointer
from service.rollout.pointer_store import change_pointer, read_pointer
from service.settings import Settings, read_settings
from tests.service.running import Service, patient
from tests.service.store.servers import eventually
from tests.tiny import tiny_bundle

TOKEN = "0123456789abcdef"
HERE = {"host": "127.0.0.1:8000"}


@pytest.fixture
def settings(redis_url: str, tmp_path: Path, bundle_folder: Path) -> Settings:
    two = tiny_bundle(tmp_path / "made", "tiny-2", items=41)
    for source in (bundle_folder, two):
        publish(tmp_path / "bundles", source)
    return patient(redis_url).model_copy(update={"bundles": tmp_path / "bundles"})


@pytest.fixture
def service(settings: Settings, generation: Generation) -> Iterator[Service]:
    with Service(settings, generation) as service:
        yield service


def status(settings: Settings, **headers: str) -> int:
    with Service(settings, None) as service:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return service.get("/bundles", headers=named).status_code


@pytest.mark.parametrize(
    ("authorization", "expected"),
    [
        (f"Bearer {TOKEN}", 200),
        (f"bearer  {TOKEN} ", 200),
        (f"Bearer {TOKEN}x", 401),
        (f"Bearer {TOKEN[:-1]}", 401),
        (f"Basic {TOKEN}", 401),
        (TOKEN, 401),
        ("Bearer", 401),
        ("Bearer é", 401),
        ("", 401),
    ],
)
def test_with_a_token_it_alone_decides(
    settings: Settings, authorization: str, expected: int
) -> None:
    for host in ("127.0.0.1", "0.0.0.0"):
        guarded = settings.model_copy(update={"admin_token": SecretStr(TOKEN), "host": host})
        with Service(guarded, None) as service:
            headers = {"authorization": authorization.encode(), "x-forwarded-for": b"1.2.3.4"}
            answer = service.get("/bundles", headers=headers)
            assert answer.status_code == expected
            assert ("www-authenticate" in answer.headers) == (expected == 401)


KEYS = {scope: new_key(scope, scope) for scope in SCOPES}
GUARDED = [one for one in OPERATIONS if one.needs is not None]


@pytest.fixture(scope="module")
def guarded(
    tmp_path_factory: pytest.TempPathFactory, redis_server: str, bundle_folder: Path
) -> Iterator[Service]:
    """A service with a key of each scope."""
    path = tmp_path_factory.mktemp("keys") / "keys"
    path.write_text("\n".join(line for _, line in KEYS.values()))
    told = {"keys_file": path, "host": "0.0.0.0"}
    with Service(
        patient(redis_server).model_copy(update=told), Generation.load(bundle_folder)
    ) as service:
        yield service


def called(service: Service, operation: Operation, **headers: str) -> int:
    """Call an operation without what it needs beside a key; say how it was answered."""
    path = operation.path.format(id="nobody", version="nobody")
    return service.ask(operation.method, path, headers=headers).status_code


@pytest.mark.parametrize("operation", GUARDED, ids=lambda one: one.name)
def test_a_call_is_for_keys_of_its_scope_and_of_administrators(
    guarded: Service, operation: Operation
) -> None:
    assert called(guarded, operation) == 401
    for scope, (key, _) in KEYS.items():
        status = called(guarded, operation, authorization=f"Bearer {key}")
        assert (status == 403) == (scope not in (operation.needs, "admin")), scope
        assert status != 401


@pytest.mark.parametrize("operation", GUARDED, ids=lambda one: one.name)
def test_without_a_key_a_service_that_others_reach_answers_nobody(
    service_of_all: Service, operation: Operation
) -> None:
    assert called(service_of_all, operation) == 401


@pytest.fixture(scope="module")
def service_of_all(redis_server: str) -> Iterator[Service]:
    """What `firstsight serve` refuses to start, made by hand."""
    with Service(patient(redis_server).model_copy(update={"host": "0.0.0.0"}), None) as service:
        yield service


def test_probes_and_descriptions_need_no_key(guarded: Service) -> None:
    open_to_all = {one.path for one in OPERATIONS if one.needs is None}
    assert open_to_all == {"/livez", "/readyz", "/metrics", "/docs", "/openapi.json"}
    for path in open_to_all:
        assert guarded.get(path).status_code == 200


def test_a_key_of_another_scope_is_told_which_it_needs(guarded: Service) -> None:
    headers = {"authorization": f"Bearer {KEYS['recall'][0]}"}
    answer = guarded.ask("DELETE", "/users/u", headers=headers)
    assert answer.json()["detail"] == "key 'recall' has the scopes recall; expected write"


def test_who_may_not_write_has_no_body_read(guarded: Service) -> None:
    read: list[str] = []

    async def body(path: str) -> AsyncIterator[bytes]:
        read.append(path)
        yield b"{}"

    for headers, status in (
        ({}, 401),
        ({"authorization": f"Bearer {KEYS['recall'][0]}"}, 403),
    ):
        for method, path in (("POST", "/items"), ("PUT", "/users/u")):
            asked = guarded.client.build_request(method, path, headers=headers, content=body(path))
            assert guarded.do(guarded.client.send(asked)).status_code == status
    assert not read
    headers = {"authorization": f"Bearer {KEYS['write'][0]}"}
    asked = guarded.client.build_request("PUT", "/users/u", headers=headers, content=body("/u"))
    assert guarded.do(guarded.client.send(asked)).status_code == 201
    assert read == ["/u"]


def test_a_key_counts_in_the_header_alone(guarded: Service) -> None:
    key = KEYS["admin"][0]
    for path in (f"/recall?user_id=u&key={key}", f"/recall?user_id=u&authorization={key}"):
        assert guarded.get(path).status_code == 401
    named = {"x-api-key": key, "cookie": f"key={key}", "proxy-authorization": f"Bearer {key}"}
    assert guarded.get("/recall?user_id=u", headers=named).status_code == 401


def test_only_an_administrators_recall_tells_of_debug(guarded: Service) -> None:
    for (key, _), status in ((KEYS["recall"], 403), (KEYS["admin"], 200)):
        headers = {"authorization": f"Bearer {key}"}
        debug = guarded.get("/recall?user_id=u&debug=true", headers=headers)
        assert debug.status_code == status
        assert guarded.get("/recall?user_id=u", headers=headers).status_code == 200


def test_without_a_token_it_is_steered_from_its_machine_and_not_through_a_gateway(
    settings: Settings,
) -> None:
    for host in ("127.0.0.1", "127.0.0.1:8000", "localhost:1", "[::1]:8000"):
        assert status(settings, host=host) == 200
    for name in FORWARDED:
        assert status(settings, **HERE, **{name: "1.2.3.4"}) == 403


def test_a_page_in_a_browser_does_not_steer_it(settings: Settings) -> None:
    assert status(settings, **HERE, origin="http://127.0.0.1:8000") == 403
    assert status(settings, host="rebound.example") == 403
    assert status(settings, host="127.0.0.1.example:8000") == 403


@pytest.mark.parametrize("host", ["", "[", "[::1", "]", "@"])
def test_a_host_that_is_none_is_not_this_machine(settings: Settings, host: str) -> None:
    assert status(settings, host=host) == 403


@pytest.mark.parametrize(
    ("token", "got"),
    [
        ("", "got 0 characters"),
        ("short", "got 5 characters"),
        ("0123456789abcde", "got 15 characters"),
        ("pässwörd-pässwörd", "got a blank, a control character or one outside of ASCII"),
        ("0123456789abcdef\n", "got a blank"),
        (" 0123456789abcdef", "got a blank"),
        ("0123456789 abcdef", "got a blank"),
        ("0123456789\x7fabcdef", "got a blank"),
    ],
)
def test_a_token_that_no_header_could_bring_is_refused_with_what_would_be_right(
    token: str, got: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        read_settings({"FIRSTSIGHT_ADMIN_TOKEN": token})
    right = "expected at least 16 visible characters of ASCII without blanks"
    assert re.fullmatch(f"FIRSTSIGHT_ADMIN_TOKEN: {got}.*, {right}", str(caught.value))
    assert not token or token not in str(caught.value)


def test_a_token_of_any_visible_characters_lets_in(settings: Settings) -> None:
    token = "".join(map(chr, range(0x21, 0x7F)))
    told = read_settings({"FIRSTSIGHT_ADMIN_TOKEN": token}).admin_token
    guarded = settings.model_copy(update={"admin_token": told})
    assert status(guarded, authorization=f"Bearer {token}") == 200


def test_versions_are_listed_activated_and_rolled_back_over_http(
    service: Service, settings: Settings
) -> None:
    def post(path: str, **body: object) -> dict[str, object]:
        answer = service.ask("POST", f"/bundles/{path}", json=body, headers=HERE)
        assert answer.status_code == 200, answer.text
        told: dict[str, object] = answer.json()
        return told["after"]  # type: ignore[return-value]

    # What serves writes the pointer that Redis lacks; its loop runs while it is asked.
    eventually(lambda: service.get("/readyz") and read_pointer(settings))
    one = post("tiny-1/activate")
    assert (one["generation"], one["current"]) == (1, "tiny-1")
    tried = post("tiny-2/activate", share=0.25, expect=1)
    assert (tried["candidate"], tried["share"]) == ("tiny-2", 0.25)
    listed = service.get("/bundles", headers=HERE).json()
    assert listed["pointer"] == tried
    assert [one["roles"] for one in listed["bundles"]] == [["current"], ["candidate"]]
    assert post("tiny-2/activate")["current"] == "tiny-2"
    assert post("rollback", expect=3)["current"] == "tiny-1"
    again = service.ask("POST", "/bundles/rollback", json={"expect": 3}, headers=HERE)
    assert (again.status_code, "generation 4 came first" in again.text) == (409, True)
    assert read_pointer(settings) == Pointer(4, "tiny-1")


def test_a_rollback_to_a_version_that_was_removed_names_it(
    service: Service, settings: Settings
) -> None:
    change_pointer(settings, None, Pointer(1, "tiny-1", previous="gone-1"))
    answer = service.ask("POST", "/bundles/rollback", headers=HERE)
    assert (answer.status_code, answer.json()["type"]) == (404, "/docs#unknown-bundle")
    assert answer.json()["id"] == "gone-1"
    assert "'gone-1' is not in" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"share": 2}, "share"),
        ({"share": 0}, "share"),
        ({"share": "much"}, "share"),
        ({"expect": -1}, "expect"),
        ({"expect": True}, "expect"),
        ({"shares": 1}, "shares"),
        ([], "body"),
    ],
)
def test_a_bad_body_names_the_member(service: Service, body: object, named: str) -> None:
    answer = service.ask("POST", "/bundles/tiny-1/activate", json=body, headers=HERE)
    assert answer.status_code == 422
    assert [one["feature"] for one in answer.json()["errors"]] == [named]


def test_a_damaged_version_is_refused_and_nothing_changes(
    service: Service, settings: Settings
) -> None:
    (settings.bundles / "tiny-2" / "vectors.npy").write_bytes(b"")
    answer = service.ask("POST", "/bundles/tiny-2/activate", headers=HERE)
    assert (answer.status_code, answer.json()["type"]) == (422, "/docs#bundle-refused")
    assert "vectors.npy" in answer.json()["detail"]
    pointer = read_pointer(settings)
    assert pointer is None or pointer.current == "tiny-1"
