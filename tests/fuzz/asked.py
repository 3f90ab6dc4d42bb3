"""A request as text, which a fuzzer can change and a person can read; and as ASGI has it.

    PUT /users/u1
    authorization: KEY
    content-type: application/json

    {"country": "de"}

KEY stands for the key. A `content-length` over what follows is a client that leaves; `pieces: 3`
is a body that comes in so many.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import unquote

from service.http.openapi import document
from service.http.wire import json_bytes

KEY = b"KEY"
NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
VALUE = re.compile(rb"[^\x00-\x08\x0a-\x1f\x7f]*")
METHOD = re.compile(rb"[A-Z]{1,20}")
TARGET = re.compile(rb"/[!-~]*")
MOST_PIECES = 8

Headers = list[tuple[bytes, bytes]]


@dataclass(frozen=True)
class Asked:
    """One request that a server would hand to the application."""

    method: bytes
    target: bytes
    headers: Headers
    body: bytes

    @classmethod
    def read(cls, text: bytes) -> Self | None:
        """Read the text of a request; None: a server would not let it through."""
        head, _, body = text.partition(b"\n\n")
        first, *lines = head.split(b"\n")
        method, _, target = first.partition(b" ")
        if not METHOD.fullmatch(method) or not TARGET.fullmatch(target):
            return None
        headers: Headers = []
        for line in lines:
            name, _, value = line.partition(b":")
            value = value.strip(b" \t")
            if not NAME.fullmatch(name) or not VALUE.fullmatch(value):
                return None
            headers.append((name.lower(), value))
        return cls(method, target, headers, body)

    @property
    def path(self) -> str:
        """The path as it was sent."""
        return self.target.partition(b"?")[0].partition(b"#")[0].decode("ascii")

    def has(self, name: bytes) -> bool:
        """Whether a header was sent."""
        return any(one == name for one, _ in self.headers)

    def scope(self, key: str) -> dict[str, Any]:
        """Return the scope that uvicorn makes of it."""
        raw, _, query = self.target.partition(b"#")[0].partition(b"?")
        return {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": self.method.decode("ascii"),
            "scheme": "http",
            "path": unquote(raw.decode("ascii")),
            "raw_path": raw,
            "query_string": query,
            "root_path": "",
            "headers": self._with(key),
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
        }

    def _with(self, key: str) -> Headers:
        bearer = b"Bearer " + key.encode()
        return [
            (name, bearer if (name, value) == (b"authorization", KEY) else value)
            for name, value in self.headers
            if name != b"pieces"
        ]

    def messages(self) -> Iterator[dict[str, Any]]:
        """Give the body as a server would, and then that the client has left."""
        pieces = self._number(b"pieces", 1, MOST_PIECES)
        size = max(1, -(-len(self.body) // max(1, pieces)))
        parts = [self.body[at : at + size] for at in range(0, len(self.body), size)] or [b""]
        is_whole = self._number(b"content-length", 0, 1 << 30) <= len(self.body)
        for at, part in enumerate(parts):
            more = at < len(parts) - 1 or not is_whole
            yield {"type": "http.request", "body": part, "more_body": more}
        while True:
            yield {"type": "http.disconnect"}

    def _number(self, name: bytes, default: int, most: int) -> int:
        given = next((value for one, value in self.headers if one == name), b"")
        return min(int(given[:12]), most) if given.isdigit() else default


def seeds() -> Iterator[bytes]:
    """Give a good request of each kind that the description has an example of."""
    for path, calls in document()["paths"].items():
        for method, call in calls.items():
            bodies = call.get("requestBody", {}).get("content", {}).get("application/json", {})
            examples = [one["value"] for one in bodies.get("examples", {}).values()] or [None]
            for example in examples:
                yield _text(method.upper(), path, call.get("parameters", ()), example)


def _text(method: str, path: str, parameters: Any, body: object) -> bytes:
    query, lines = [], ["authorization: KEY", "host: 127.0.0.1"]
    for one in parameters:
        value = one["example"]
        if one["in"] == "path":
            path = path.replace("{" + one["name"] + "}", str(value))
        elif one["in"] == "header":
            lines.append(f"{one['name'].lower()}: {value}")
        elif isinstance(value, dict):
            query += [f"{name}={text}" for name, text in value.items()]
        else:
            query.append(f"{one['name']}={str(value).lower() if value in (True, False) else value}")
    target = path + ("?" + "&".join(query) if query else "")
    head = "\n".join([f"{method} {target}", *lines])
    if body is None:
        return f"{head}\n\n".encode()
    return f"{head}\ncontent-type: application/json\n\n".encode() + json_bytes(body)


WORDS = (
    *("user_id", "user", "context", "history", "exclude", "cold", "after", "rank", "debug", "k"),
    *("requests", "items", "users", "id", "preference", "share", "expect", "null", "true"),
    *("country", "age", "tab", "recent", "taste", "topics", "length", "clicks", "vector"),
    *("NaN", "Infinity", "-1e999", "1e-400", "9" * 20, "9" * 60, "0" * 9 + "1", "-0"),
    *("\\ud800", "\\u0000"),
    *("%2F", "%00", "%25", "%ff", "..", "//", "?", "&", "=", "+", "{}", "[]", "[[", '{"a":'),
    *("chunked", "gzip", "application/json", "text/csv", "x-request-timeout-ms", "traceparent"),
    *("if-unmodified-since", "expect", "content-length", "transfer-encoding", "x-request-id"),
    *("pieces", "host", "origin", "forwarded", "authorization", "similar", "activate", "rollback"),
)


def dictionary() -> str:
    """Return the words that requests are made of, as libFuzzer reads them."""
    escaped = (word.encode().decode("ascii").replace("\\", "\\\\") for word in WORDS)
    return "".join(f'"{word.replace(chr(34), chr(92) + chr(34))}"\n' for word in escaped)
