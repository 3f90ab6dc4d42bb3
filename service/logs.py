"""Log lines: one JSON object each, with the facts of `extra` and the request's id; warnings too."""

import json
import logging
import sys
import threading
import time
from typing import Any

from service.http.request_id import request_id
from service.keys.hidden import without_hidden
from service.keys.mask import masked

OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


logger = logging.getLogger(__name__)


class JsonLines(logging.Formatter):
    """Formats a record as one JSON object: time (UTC), level, logger, message, request_id, facts.

    `request_id` is null outside of a request. No key is in it, and nothing that is hidden.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return one line."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, Any] = {
            "time": f"{stamp}.{int(record.msecs):03d}Z",
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "request_id": request_id() or None,
        }
        line |= {name: value for name, value in vars(record).items() if name not in OWN}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return without_hidden(masked(json.dumps(line, default=str, ensure_ascii=False)))


def log_as_json(level: str) -> None:
    """Send all log lines of this process to standard error as JSON, from `level` up.

    Warnings too, and what Python would print of errors in threads and of those nobody can catch.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    logging.captureWarnings(capture=True)
    threading.excepthook = _log_uncaught
    sys.unraisablehook = _log_uncaught


def _log_uncaught(told: "threading.ExceptHookArgs | sys.UnraisableHookArgs") -> None:
    if told.exc_value is not None and not isinstance(told.exc_value, SystemExit):
        logger.error("uncaught error", exc_info=told.exc_value)
