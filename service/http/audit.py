"""The audit log: one line for each call that writes, steers or looks behind a recall, and whose."""

import functools
import logging
from collections.abc import Awaitable, Callable, Sequence
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import Response

from service.errors import as_problem
from service.keys.mask import masked

logger = logging.getLogger(__name__)

Endpoint = Callable[[Request], Awaitable[Response]]

MOST = 256
"""Characters of an id as it came, which may be none; a key in it is masked before it is cut."""


NOTED = "noted"
"""Where a call's scope holds the ids that were noted."""


class Audit:
    """Logs who called what, on which ids, and with which status; never a key, a feature or a body.

    What is refused before it is known who asks has done nothing, and is not in it.

    Its lines are there at every `FIRSTSIGHT_LOG_LEVEL`.
    """

    def __init__(self) -> None:
        logger.setLevel(logging.INFO)

    def audited(self, operation: str, endpoint: Endpoint, *, always: bool) -> Endpoint:
        """Return an endpoint whose calls are logged, the refused ones too.

        always: whether all are, or those alone that noted ids.
        """

        @functools.wraps(endpoint)
        async def told(request: Request) -> Response:
            status: int | None = None  # stays so where a deadline, or the end, cuts it off
            try:
                response = await endpoint(request)
                status = response.status_code
            except Exception as error:
                status = as_problem(error).status
                raise
            finally:
                if always or NOTED in request.scope:
                    _tell(request, operation, status)
            return response

        return told


def note_ids(request: Request, ids: Sequence[str]) -> None:
    """Tell the audit log on what a call acts whose path names no id.

    Before anything is stored: of a store that does not answer, nobody knows what it has taken.
    """
    request.scope.setdefault(NOTED, []).extend(ids)


def _tell(request: Request, operation: str, status: int | None) -> None:
    ids = request.scope.get(NOTED) or [unquote(one) for one in request.path_params.values()]
    facts = {
        "who": request.scope.get("caller"),
        "operation": operation,
        "ids": [masked(one)[:MOST] for one in ids],
        "status": status,
    }
    logger.info("called", extra=facts)
