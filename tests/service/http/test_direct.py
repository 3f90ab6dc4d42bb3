"""Requests find their endpoints by one way or the other, and errors become the same problems."""

import asyncio
import logging

import httpx
import pytest
from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

from service.errors import Problem, UnknownItem, answer_error
from service.http.direct import Direct
from service.http.layers import Observed
from service.observe import exposition
from service.routes import answer_unrouted

FIXED, WITH_ID = "/test-direct", "/test-direct/{id}"
BOTH = pytest.mark.parametrize("path", [FIXED, "/test-direct/a%2Fb"])


async def told(request: Request) -> Response:
    """Answer with what the way there has left in the request."""
    if request.url.query == "unknown":
        raise UnknownItem("x")
    if request.url.query == "fault":
        raise ZeroDivisionError
    return Response(f"{request.app.title} {request.path_params.get('id')}")


def ask(method: str, path: str) -> httpx.Response:
    app = FastAPI(
        title="mine",
        exception_handlers={
            Problem: answer_error,
            HTTPException: answer_unrouted,
            Exception: answer_error,
        },
    )
    for one in (FIXED, WITH_ID):
        app.add_api_route(one, told, methods=["GET"], response_model=None)

    async def asked() -> httpx.Response:
        transport = httpx.ASGITransport(Observed(Direct(app)))
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
            return await client.request(method, path)

    return asyncio.run(asked())


def test_a_path_is_matched_as_it_was_sent() -> None:
    assert ask("GET", FIXED).text == "mine None"
    assert ask("GET", "/test-direct/a%2Fb").text == "mine a%2Fb"
    assert ask("GET", "/test%2Ddirect").status_code == 404


@BOTH
@pytest.mark.parametrize(("asked", "status"), [("unknown", 404), ("fault", 500)])
def test_an_error_becomes_a_problem(path: str, asked: str, status: int) -> None:
    answer = ask("GET", f"{path}?{asked}")
    assert answer.status_code == answer.json()["status"] == status
    assert answer.headers["x-request-id"] == answer.json()["request_id"]


@BOTH
def test_a_fault_of_ours_is_logged_once(path: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        ask("GET", f"{path}?fault")
    [record] = caplog.records
    assert record.exc_info is not None
    assert record.exc_info[0] is ZeroDivisionError


@BOTH
def test_another_method_is_told_which_one_there_is(path: str) -> None:
    answer = ask("DELETE", path)
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET")


def test_a_request_is_counted_by_the_route_and_not_by_its_path() -> None:
    ask("GET", FIXED)
    ask("GET", "/test-direct/secret")
    lines = exposition().decode()
    assert f'route="{FIXED}",status="200"' in lines
    assert f'route="{WITH_ID}",status="200"' in lines
    assert "secret" not in lines
