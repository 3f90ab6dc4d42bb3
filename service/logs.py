"""Log lines: one JSON object each, with the facts of `extra` and the request's id."""

import json
import logging
import sys
import time
from typing import Any

from service.http.request_id import request_id
from service.keys.mask import masked

OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    """Formats a record as one JSON object: time (UTC), level, logger, message, facts; no key."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, Any] = {
            "time": f"{stamp}.{int(record.msecs):03d}Z",
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if of := request_id():
            line["request_id"] = of
        line |= {name: value for name, value in vars(record).items() if name not in OWN}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return masked(json.dumps(line, default=str, ensure_ascii=False))


def log_as_json(level: str) -> None:
    """Send all log lines of this process to standard error as JSON, from `level` up."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
