"""The audit log: one line for each call that writes or steers, and who it was."""

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


class Audit:
    """Logs who called what, on which ids, and with which status; never a key, a feature or a body.

    Its lines are there at every `FIRSTSIGHT_LOG_LEVEL`.
    """

    def __init__(self) -> None:
        logger.setLevel(logging.INFO)

    def audited(self, operation: str, endpoint: Endpoint) -> Endpoint:
        """Return an endpoint each of whose calls is logged, the refused ones too."""

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
                _tell(request, operation, status)
            return response

        return told


def note_ids(request: Request, ids: Sequence[str]) -> None:
    """Tell the audit log what a call wrote whose path names no id."""
    request.scope["written"] = list(ids)


def _tell(request: Request, operation: str, status: int | None) -> None:
    in_path = [masked(unquote(one))[:MOST] for one in request.path_params.values()]
    facts = {
        "who": request.scope.get("caller"),
        "operation": operation,
        "ids": request.scope.get("written", in_path),
        "status": status,
    }
    logger.info("called", extra=facts)
