"""A version that a request names is one of the folder of bundles, or none."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from service.generation import Generation
from service.rollout.bundles import publish
from service.rollout.pointer_store import read_pointer
from tests.service.running import Service, patient
from tests.tiny import tiny_bundle


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A good bundle beside the folder of bundles, and one hidden in it."""
    home = tmp_path_factory.mktemp("outside")
    source = tiny_bundle(home, "tiny-9", items=41)
    publish(home / "bundles", tiny_bundle(home / "made", "tiny-2", items=41))
    for name in ("bundles/.tiny-9", "bundles/tiny-2/tiny-9"):
        (home / name).symlink_to(source)
    return home


@pytest.fixture(scope="module")
def service(outside: Path, redis_server: str, bundle_folder: Path) -> Iterator[Service]:
    own = {"bundles": outside / "bundles", "prefix": "outside"}  # others share this Redis
    settings = patient(redis_server).model_copy(update=own)
    with Service(settings, Generation.load(bundle_folder)) as service:
        yield service


VERSIONS = [
    *("..", ".", "../tiny-9", "..\\tiny-9", "tiny-2/../../tiny-9", "tiny-2/tiny-9"),
    *(".tiny-9", ".publishing", "{outside}/tiny-9", "/etc/passwd", "~", "tiny-2\0", "tiny-2/"),
    *("tiny-2 ", "tiny-2\n", "*", "tiny-2%00", "%2e%2e%2ftiny-9", "．．/tiny-9", "a" * 5000),
]


@pytest.mark.parametrize("is_encoded", [True, False])
@pytest.mark.parametrize("version", VERSIONS, ids=lambda one: ascii(one[:30]))
def test_no_version_leads_out_of_the_folder_of_bundles(
    service: Service, outside: Path, version: str, is_encoded: bool
) -> None:
    name = version.format(outside=outside)
    sent = quote(name, safe="" if is_encoded else "/.~*\\%")
    before = read_pointer(service.settings)
    answer = service.ask(
        "POST", f"http://127.0.0.1/bundles/{sent}/activate", headers={"host": "127.0.0.1"}
    )
    assert answer.status_code in (404, 422), answer.text
    kind = answer.json()["type"].removeprefix("/docs#")
    assert kind in ("unknown-bundle", "bundle-refused", "unknown-route")
    after = read_pointer(service.settings)
    assert after is None or after.current == "tiny-1"
    assert before is None or before == after


def test_a_version_of_the_folder_is_activated(
    outside: Path, redis_url: str, generation: Generation
) -> None:
    settings = patient(redis_url).model_copy(update={"bundles": outside / "bundles"})
    with Service(settings, generation) as service:
        answer = service.ask("POST", "/bundles/tiny-2/activate", headers={"host": "127.0.0.1"})
        assert answer.status_code == 200, answer.text
