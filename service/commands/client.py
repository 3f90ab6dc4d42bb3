"""A small client of the service, on the standard library; connections are kept, one a thread."""

import json
import threading
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any, Final, Self
from urllib.parse import urlsplit

from export.contract.errors import ConfigError
from service.http.wire import json_bytes
from service.settings import Settings

TIMEOUT_S = 60.0


ANY: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}
"""Where a service that listens on every address is asked on its own machine."""


def url_of(settings: Settings) -> str:
    """Return where the service of these settings is, for who is on the same machine.

    Raises:
        ConfigError: The port is any free one.

    """
    if settings.port == 0:
        raise ConfigError("FIRSTSIGHT_PORT: 0 is any free one; say which it is by --url")
    host = ANY.get(settings.host, settings.host)
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.port}"


def key_of(settings: Settings) -> str | None:
    """Return the key that commands bring: `FIRSTSIGHT_KEY`, else `FIRSTSIGHT_ADMIN_TOKEN`."""
    secret = settings.key or settings.admin_token
    return None if secret is None else secret.get_secret_value()


class ServiceFailed(Exception):
    """The service refused a call, or cannot be reached (status 0)."""

    exit_code = 1

    def __init__(
        self, message: str, status: int = 0, problem: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.problem = problem or {}


class Client:
    """Calls one service, with a key if there is one; for several threads, and closed by one."""

    def __init__(self, url: str, key: str | None = None) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(f"--url: got {url!r}, expected one like http://127.0.0.1:8000")
        self._url = url.rstrip("/")
        self._base = parts.path.rstrip("/")
        self._kind = HTTPConnection if parts.scheme == "http" else HTTPSConnection
        self._where = (parts.hostname, parts.port)
        self._head = {} if key is None else {"Authorization": f"Bearer {key}"}
        self._own = threading.local()
        self._all: list[HTTPConnection] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for connection in self._all:
            connection.close()

    def call(
        self, method: str, path: str, body: object = None, head: Mapping[str, str] | None = None
    ) -> Any:
        """Send one request and return what it answers; None for an empty answer.

        Raises:
            ServiceFailed: It cannot be reached, or it answered with a problem.

        """
        content = None if body is None else json_bytes(body)
        sent = {**self._head, **(head or {})}
        if content is not None:
            sent["Content-Type"] = "application/json"
        for is_last in (False, True):
            connection = self._connection()
            try:
                connection.request(method, self._base + path, content, sent)
                answer = connection.getresponse()
                text = answer.read()
                break
            except (OSError, HTTPException) as error:
                connection.close()
                # A kept connection may have been closed meanwhile; every call may be repeated.
                if is_last:
                    raise ServiceFailed(f"{self._url}: {error or type(error).__name__}") from error
        if answer.status >= 400:
            problem = _problem(text)
            told = str(problem.get("detail") or f"status {answer.status}")
            raise ServiceFailed(told, answer.status, problem)
        return json.loads(text) if text else None

    def _connection(self) -> HTTPConnection:
        if not hasattr(self._own, "connection"):
            host, port = self._where
            self._own.connection = self._kind(host, port, timeout=TIMEOUT_S)
            self._all.append(self._own.connection)
        connection: HTTPConnection = self._own.connection
        return connection


def _problem(text: bytes) -> dict[str, Any]:
    try:
        told = json.loads(text)
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}
