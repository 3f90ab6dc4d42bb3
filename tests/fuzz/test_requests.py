"""Requests of all kinds, changed at random, in this process and over a socket; the short form.

What broke a promise once lies in `found`, as text, and is asked again here.
"""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fuzz import __main__ as long_form
from tests.fuzz.application import Application
from tests.fuzz.asked import WORDS, Asked, seeds
from tests.fuzz.described import guarded
from tests.fuzz.judged import Answer, judge
from tests.fuzz.mutations import mutate_bytes, mutate_json
from tests.fuzz.records import ROUND, try_records
from tests.fuzz.wire import send

FOUND = sorted((Path(__file__).parent / "found").glob("*.http"))
SEED = 1
TIMES = 40
"""Changes of each seed."""


@pytest.fixture
def application(tmp_path: Path, redis_url: str) -> Iterator[Application]:
    with Application(tmp_path, redis_url) as application:
        yield application


def changed(text: bytes, rng: random.Random) -> bytes:
    head, _, body = text.partition(b"\n\n")
    if body and rng.random() < 0.6:
        change = mutate_json if rng.random() < 0.7 else mutate_bytes
        return head + b"\n\n" + change(body, rng)
    place = rng.randrange(len(text))
    word = rng.choice(WORDS).encode()
    return mutate_bytes(text, rng) if rng.random() < 0.3 else text[:place] + word + text[place:]


def test_no_request_breaks_a_promise_and_a_normal_one_is_answered_as_before(
    application: Application,
) -> None:
    rng = random.Random(SEED)
    before = application.ask_as_ever()
    asked = 0
    for seed in seeds():
        for _ in range(TIMES):
            request = Asked.read(changed(seed, rng))
            if request is not None and b"activate" not in request.target:
                application.ask(request)
                asked += 1
    assert asked > 400
    after = application.ask_as_ever()
    assert (after.status, len(after.body)) == (before.status, len(before.body))


@pytest.mark.parametrize("path", FOUND, ids=[path.stem for path in FOUND])
def test_what_broke_a_promise_once_breaks_none(application: Application, path: Path) -> None:
    asked = Asked.read(path.read_bytes())
    assert asked is not None
    application.ask(asked)


def test_the_same_over_a_socket(tmp_path: Path) -> None:
    rng = random.Random(SEED)
    texts = [*seeds(), *(path.read_bytes() for path in FOUND)]
    with guarded(tmp_path) as (served, key):
        for text in texts:
            for one in (text, changed(text, rng), changed(text, rng)):
                asked = Asked.read(one)
                if asked is not None and b"activate" not in asked.target:
                    for chunked in (False, True):
                        send(served, key, asked, chunked=chunked)
        assert served.ask("GET", "/readyz")[0] == 200


def test_what_others_write_into_redis_breaks_no_promise(application: Application) -> None:
    assert try_records(application, SEED, lambda number: number >= 2 * ROUND)
    application.ask_as_ever()


def test_an_answer_that_breaks_a_promise_is_found() -> None:
    asked = Asked.read(b"GET /recall\n\n")
    assert asked is not None
    told = {"x-request-id": "a", "content-type": "application/problem+json"}
    internal = b'{"type":"/docs#internal","status":500,"request_id":"a"}'
    for bad in (
        Answer(500, told, internal),
        Answer(422, told, internal),
        Answer(200, told, b"x" * (2 << 20)),
        Answer(200, {}, b"{}"),
    ):
        with pytest.raises(AssertionError):
            judge(asked, bad)


def test_without_atheris_requests_are_sent_all_the_same_and_it_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(long_form, "is_guided", lambda: False)
    run = long_form.Run(tmp_path, SEED, seconds=60, examples=1)
    long_form.requests(run)
    told = capsys.readouterr().out
    assert "not guided by coverage: atheris is not installed" in told
    assert run.broken == []
