"""Recalls and who answers them: the version that serves the user, all of one together."""

import asyncio
from collections.abc import Sequence

from starlette.requests import Request

from export.contract.errors import RecordError
from service.errors import Forbidden, InvalidRecord, Unauthenticated
from service.http.bodies import read_recall_body
from service.http.guard import require_admin
from service.payloads import RecallBody
from service.recall import Recalled
from service.recall_request import RecallRequest, check_recall
from service.replay.explainer import Explained
from service.rollout.pointer import Pointer
from service.serving import Serving
from service.settings import Settings
from service.use_cases import UseCases

SLICE = 16
"""Requests checked at once, before others on the event loop have their turn."""


Answered = Recalled | Explained


def asked_of(
    http: Request, serving: Serving, body: RecallBody, settings: Settings, *, from_query: bool
) -> tuple[UseCases, RecallRequest]:
    """Return who answers a recall, and what it asks by the schema of that version.

    Raises:
        InvalidRecord: Names every value at fault.
        Unauthenticated, Forbidden: It asks for `debug`, and this is no administrator.

    """
    if body.debug:
        require_admin(http, [] if body.user_id is None else [body.user_id])
    cases = serving.for_user(body.user_id)
    side, ranker = cases.generation.schema.user, cases.generation.ranker
    return cases, check_recall(body, side, settings, from_query=from_query, ranker=ranker)


async def recall_one(
    http: Request, serving: Serving, body: RecallBody, settings: Settings, *, from_query: bool
) -> Answered:
    """Answer one recall; one with `debug` alone, and with how it was made.

    Raises:
        InvalidRecord: Names every value at fault.
        Unauthenticated, Forbidden: It asks for `debug`, and this is no administrator.

    """
    cases, asked = asked_of(http, serving, body, settings, from_query=from_query)
    if asked.debug:
        return await cases.explainer.recall(asked, serving.pointer)
    return await cases.recaller.recall(asked)


async def recall_batch(
    http: Request, serving: Serving, bodies: Sequence[object], settings: Settings
) -> list[Answered | BaseException]:
    """Answer the recalls of a batch, in order; in place of a bad one stands its fault.

    Those with `debug` are answered one after the other, when the others are.
    """
    outcomes: dict[int, Answered | BaseException] = {}
    asked: dict[str, dict[int, RecallRequest]] = {}
    alone: dict[int, tuple[UseCases, RecallRequest]] = {}
    for place, body in enumerate(bodies):
        try:
            read = read_recall_body(body, settings.limits)
            cases, request = asked_of(http, serving, read, settings, from_query=False)
        except (InvalidRecord, RecordError, Unauthenticated, Forbidden) as error:
            outcomes[place] = error
        else:
            if request.debug:
                alone[place] = cases, request
            else:
                asked.setdefault(cases.version, {})[place] = request
        if place % SLICE == SLICE - 1:
            await asyncio.sleep(0)
    recallers = {cases.version: cases.recaller for cases in serving.all}
    answers = await asyncio.gather(
        *(recallers[version].recall_all(list(of.values())) for version, of in asked.items())
    )
    for of, told in zip(asked.values(), answers, strict=True):
        outcomes |= zip(of, told, strict=True)
    for place, (cases, request) in alone.items():
        outcomes[place] = await _explained(cases, request, serving.pointer)
    return [outcomes[place] for place in range(len(bodies))]


async def _explained(
    cases: UseCases, request: RecallRequest, pointer: Pointer
) -> Explained | BaseException:
    try:
        return await cases.explainer.recall(request, pointer)
    except Exception as error:  # told in the place of the answer, as those of other recalls are
        return error
