"""What schemathesis is told of this service: ids, dates, what is no failure, and our own check.

What was answered is noted in the file that `REACHED` names.
"""

import atexit
import json
import os
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import schemathesis
from hypothesis import Phase, settings
from hypothesis import strategies as st
from schemathesis.core.failures import AcceptedNegativeData, Failure, ServerError
from schemathesis.openapi.checks import RejectedPositiveData, UseAfterFree

from service.errors import LEAVES, MEDIA_TYPE
from service.http.http_date import http_date
from tests.fuzz.narrowed import ID_FORMAT, narrow
from tests.tiny import tiny_schema

BATCHES = {"POST /items", "POST /recall/batch", "POST /embed"}
TYPES = {f"/docs#{problem.type}": problem.status for problem in LEAVES}
RANKERS = ("din",)
UNKNOWN_HEADER = "Invalid component: in header - object with unexpected properties"
TOO_LARGE = "features of a size that the tower was trained on"

_answered: Counter[str] = Counter()


def _ids() -> st.SearchStrategy[str]:
    drawn = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1)
    return drawn.filter(lambda text: len(text.encode()) <= 256)


def _dates() -> st.SearchStrategy[str]:
    return st.datetimes(datetime(1970, 1, 2), datetime(2200, 1, 1)).map(
        lambda moment: http_date(moment.replace(tzinfo=UTC))
    )


# Climbing towards a target fails in Hypothesis where an answer hangs on the ones before.
settings.register_profile("described", phases=[one for one in Phase if one is not Phase.target])
settings.load_profile("described")
schemathesis.openapi.format(ID_FORMAT, _ids())
schemathesis.openapi.format("http-date", _dates())


@schemathesis.hook
def before_load_schema(context: schemathesis.HookContext, raw_schema: dict[str, Any]) -> None:
    """Narrow the description to the bundle that is served."""
    schema = tiny_schema()
    narrow(raw_schema, schema.user, schema.item, RANKERS)


@schemathesis.hook
def filter_failure(
    context: schemathesis.HookContext,
    failure: Failure,
    case: schemathesis.Case[Any],
    response: schemathesis.Response,
) -> bool:
    """Say whether a failure is one; what is none has its reason here."""
    status = response.status_code
    if isinstance(failure, ServerError):
        # A deadline of a millisecond is a good one, and it is kept.
        return not (status == 504 and "x-request-timeout-ms" in response.request.headers)
    if isinstance(failure, AcceptedNegativeData):
        # A batch is answered member by member: what is bad in one has its status there.
        is_told = case.operation.label in BATCHES and status == 200 and _some_refused(response)
        # A header that nobody knows is nobody's fault: proxies and clients add them.
        return not (is_told or UNKNOWN_HEADER in failure.message)
    if isinstance(failure, RejectedPositiveData):
        # A date that JSON Schema takes may be before what is stored: that is what 412 is for. A
        # bundle that is there may be broken.
        if status == 422 and _has_whole_float(case.body):
            return False  # to JSON Schema 5.0 is an integer; as a word it is no other way to say 5
        is_told = _kind(response) in {"precondition-failed", "bundle-refused"}
        # A weight or a number may be in its range and too large for these hand-made towers.
        return not (is_told or (status == 422 and TOO_LARGE in response.text))
    if isinstance(failure, UseAfterFree):
        # A write to a user of whom nothing is stored stores one, also after an erasure.
        return not (case.operation.path == "/users/{id}" and case.method in ("PUT", "PATCH"))
    return True


@schemathesis.hook
def after_call(
    context: schemathesis.HookContext, case: schemathesis.Case[Any], response: schemathesis.Response
) -> None:
    """Note what was answered, of the call that was really made."""
    _answered[f"{response.request.method} {case.operation.path} {response.status_code}"] += 1


@schemathesis.check
def is_a_problem_of_ours(
    ctx: schemathesis.CheckContext, response: schemathesis.Response, case: schemathesis.Case[Any]
) -> None:
    """Whatever was refused is told in one form, under the id of the request."""
    if response.status_code < 400 or case.operation.path == "/readyz":
        return
    if response.request.method == "HEAD":
        return
    [media] = response.headers["content-type"]
    assert media == MEDIA_TYPE
    body = response.json()
    assert TYPES[body["type"]] == body["status"] == response.status_code
    assert [body["request_id"]] == response.headers["x-request-id"]


def _some_refused(response: schemathesis.Response) -> bool:
    body = response.json()
    results = [one for name in ("results", "users", "items") for one in body.get(name) or ()]
    return any(isinstance(one, dict) and one["status"] >= 400 for one in results)


def _has_whole_float(value: object) -> bool:
    if isinstance(value, dict):
        return any(map(_has_whole_float, value.values()))
    if isinstance(value, list):
        return any(map(_has_whole_float, value))
    return isinstance(value, float) and value.is_integer()


def _kind(response: schemathesis.Response) -> str:
    if response.headers.get("content-type") != [MEDIA_TYPE]:
        return ""
    return str(response.json()["type"]).removeprefix("/docs#")


@atexit.register
def _write() -> None:
    if "REACHED" in os.environ:
        Path(os.environ["REACHED"]).write_text(json.dumps(_answered))
