"""Activations over HTTP: one version at a time is verified on a machine, whoever asks."""

import asyncio
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from service.generation import Generation
from service.rollout import activation as module
from service.rollout.pointer import first_pointer
from service.rollout.pointer_store import change_pointer, read_pointer
from service.settings import Settings
from tests.service.running import Service, patient
from tests.tiny import tiny_bundle

HERE = {"host": "127.0.0.1:8000"}
OTHERS = ("tiny-2", "tiny-3", "tiny-4")


@pytest.fixture
def settings(redis_url: str, tmp_path: Path) -> Settings:
    for version in ("tiny-1", *OTHERS):
        tiny_bundle(tmp_path, version)
    settings = patient(redis_url).model_copy(update={"bundles": tmp_path})
    change_pointer(settings, None, first_pointer("tiny-1"))
    return settings


@pytest.fixture
def service(settings: Settings, generation: Generation) -> Iterator[Service]:
    with Service(settings, generation) as service:
        yield service


async def activate(service: Service, version: str) -> httpx.Response:
    return await service.client.post(f"/bundles/{version}/activate", headers=HERE)


def test_versions_that_are_activated_at_once_are_verified_one_after_the_other(
    service: Service, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TURN_S", 120.0)
    at_once: list[int] = []

    async def watch() -> None:
        while True:
            at_once.append(len(psutil.Process().children()))
            await asyncio.sleep(0.005)

    async def all_at_once() -> list[httpx.Response]:
        watching = asyncio.create_task(watch())
        asked = [activate(service, version) for version in OTHERS]
        answers = await asyncio.gather(*asked)
        watching.cancel()
        return answers

    before = len(psutil.Process().children())
    answers = service.do(all_at_once())
    assert [answer.status_code for answer in answers] == [200] * 3
    assert max(at_once) == before + 1
    pointer = read_pointer(settings)
    assert pointer is not None
    assert pointer.generation == 4


def test_who_waits_too_long_for_their_turn_is_refused_and_a_version_that_is_served_needs_none(
    service: Service, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TURN_S", 0.2)
    other = os.open(settings.bundles, os.O_RDONLY)  # as another worker has it
    try:
        fcntl.flock(other, fcntl.LOCK_EX)
        refused = service.do(activate(service, "tiny-2"))
        served = service.do(activate(service, "tiny-1"))
    finally:
        os.close(other)
    assert (refused.status_code, refused.json()["type"]) == (503, "/docs#overloaded")
    assert refused.headers["retry-after"] == "1"
    assert served.status_code == 200
    assert service.do(activate(service, "tiny-2")).status_code == 200


def test_who_leaves_gives_up_their_turn(service: Service) -> None:
    late = {**HERE, "x-request-timeout-ms": "300"}
    asked = service.client.post("/bundles/tiny-2/activate", headers=late)
    assert service.do(asked).status_code == 504
    assert service.do(activate(service, "tiny-3")).status_code == 200
