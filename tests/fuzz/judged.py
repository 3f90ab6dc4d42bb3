"""What every answer has to be, whatever was asked."""

import json
from dataclasses import dataclass
from typing import Any

from service.errors import LEAVES, MEDIA_TYPE
from service.http.admission import PROBES
from tests.fuzz.asked import Asked

TYPES = {f"/docs#{problem.type}": problem.status for problem in LEAVES}

ROOM = 1 << 20
TIMES = 16
"""An answer is no larger than this, and so many times what was asked."""


@dataclass(frozen=True)
class Answer:
    """An answer, whole."""

    status: int
    headers: dict[str, str]
    body: bytes


def judge(asked: Asked, answer: Answer, *, may_lack_store: bool = False) -> None:
    """Hold an answer against what is promised of all.

    Raises:
        AssertionError: Says what is wrong.

    """
    status, body = answer.status, answer.body
    assert len(body) <= ROOM + TIMES * (len(asked.body) + len(asked.target)), "answers too much"
    assert "x-request-id" in answer.headers
    if status < 400:
        if answer.headers.get("content-type") == "application/json":
            json.loads(body)
        return
    if asked.path in PROBES and status == 503:
        return
    problem: dict[str, Any] = json.loads(body)
    assert answer.headers["content-type"] == MEDIA_TYPE
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert TYPES[problem["type"]] == problem["status"] == status
    if status == 504:
        assert asked.has(b"x-request-timeout-ms"), "late, and nobody was in a hurry"
    elif status >= 500:
        known = {"overloaded", "store-unavailable"} if may_lack_store else {"overloaded"}
        assert status == 503, problem
        assert problem["type"].removeprefix("/docs#") in known, problem
        assert answer.headers["retry-after"]
