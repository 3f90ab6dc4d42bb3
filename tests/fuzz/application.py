"""The application in this process with a Redis of its own, asked over ASGI and held to its word."""

import logging
import traceback
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from service.generation import Generation
from service.keys.key import new_key
from tests.fuzz.asked import Asked
from tests.fuzz.judged import Answer, judge
from tests.service.running import Service, patient
from tests.tiny import tiny_bundle
from tests.tiny_ranker import tiny_ranker

NORMAL = Asked.read(b'POST /recall\nauthorization: KEY\n\n{"user": {"taste": {"art": 1}}, "k": 1}')


class _Causes(logging.Handler):
    """Keeps what escaped, to be told with the request that made it escape."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.told = ""

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info:
            self.told = "".join(traceback.format_exception(*record.exc_info))


class Application:
    """One application, from whose answers what breaks a promise raises.

    redis_url: of a Redis that somebody else ends, for libFuzzer leaves without a farewell.
    """

    def __init__(self, folder: Path, redis_url: str) -> None:
        self._folder = folder
        self.redis_url = redis_url
        self._stack = ExitStack()
        self._causes = _Causes()
        self._key, self._line = new_key("fuzz", "admin")

    def __enter__(self) -> Self:
        bundle = tiny_bundle(self._folder / "bundles", ranker=tiny_ranker)
        keys = self._folder / "keys"
        keys.write_text(f"{self._line}\n")
        told = {"keys_file": keys, "bundles": bundle.parent, "after_wait_ms": 1, "audit": True}
        settings = patient(self.redis_url).model_copy(update=told)
        self.service = self._stack.enter_context(Service(settings, Generation.load(bundle)))
        root = logging.getLogger()
        root.addHandler(self._causes)
        self._stack.callback(root.removeHandler, self._causes)
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def ask(self, asked: Asked, *, may_lack_store: bool = False) -> Answer:
        """Ask, and hold the answer to what is promised.

        Raises:
            AssertionError: It breaks a promise; with the cause of a fault of ours.

        """
        self._causes.told = ""
        answer: Answer = self.service.do(self._ask(asked))
        try:
            judge(asked, answer, may_lack_store=may_lack_store)
        except AssertionError as error:
            said = answer.body[:1000].decode("utf-8", "replace")
            raise AssertionError(f"{error}\n{answer.status} {said}\n{self._causes.told}") from None
        return answer

    def ask_as_ever(self) -> Answer:
        """Ask for a recall that anybody might ask for."""
        assert NORMAL is not None
        answer = self.ask(NORMAL)
        assert answer.status == 200, answer
        return answer

    async def _ask(self, asked: Asked) -> Answer:
        sent: list[dict[str, Any]] = []
        messages: Iterator[dict[str, Any]] = asked.messages()

        async def receive() -> dict[str, Any]:
            return next(messages)

        async def send(message: Any) -> None:
            sent.append(message)

        await self.service.app(asked.scope(self._key), receive, send)
        begins = [one for one in sent if one["type"] == "http.response.start"]
        assert len(begins) == 1, f"begun {len(begins)} times"
        headers = {name.decode(): value.decode("latin-1") for name, value in begins[0]["headers"]}
        body = b"".join(one.get("body", b"") for one in sent[1:])
        return Answer(begins[0]["status"], headers, body)
