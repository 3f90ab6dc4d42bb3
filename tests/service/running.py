"""A running application: the real one, its lifespan driven, asked over ASGI from plain tests."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import httpx
from starlette.types import ASGIApp

from service.app import create_app
from service.generation import Generation
from service.parts import Parts
from service.processes.control import WorkerControl
from service.processes.loaded import Loaded
from service.settings import Settings
from service.stores import open_link


def patient(url: str) -> Settings:
    """Make settings with which a busy machine is not taken for a store that hangs.

    And with which no snapshot is written into the working folder.
    """
    told = {"redis": url, "store_timeout_ms": 10_000, "snapshots_kept": 0}
    return Settings.model_validate(told)


@contextlib.asynccontextmanager
async def lifespan(app: ASGIApp) -> AsyncIterator[None]:
    """Drive an application's lifespan as a server does."""
    to_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    from_app: asyncio.Queue[Any] = asyncio.Queue()
    task = asyncio.ensure_future(app({"type": "lifespan"}, to_app.get, from_app.put))
    for step in ("startup", "shutdown"):
        await to_app.put({"type": f"lifespan.{step}"})
        said = await from_app.get()
        assert said["type"] == f"lifespan.{step}.complete", said
        if step == "startup":
            yield
    await task


class Service:
    """One serving process within the test's own."""

    def __init__(
        self,
        settings: Settings,
        generation: Generation | Loaded | None,
        control: WorkerControl | None = None,
    ) -> None:
        self.settings = settings
        self.loaded = Loaded.alone(generation) if isinstance(generation, Generation) else generation
        self.control = control or WorkerControl.alone()
        self._runner = asyncio.Runner()
        self._stack = contextlib.AsyncExitStack()

    def __enter__(self) -> "Service":
        self._runner.__enter__()
        self.do(self._start())
        return self

    def __exit__(self, *error: object) -> None:
        self.do(self._stack.aclose())
        self._runner.close()
        self.control.close()

    async def _start(self) -> None:
        link = None if self.loaded is None else open_link(self.settings)
        self.app = create_app(self.settings, self.loaded, link, self.control)
        await self._stack.enter_async_context(lifespan(self.app))
        transport = httpx.ASGITransport(self.app)
        self.client = await self._stack.enter_async_context(
            httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1")
        )

    @property
    def generation(self) -> Generation | None:
        """What serves whoever is not served a candidate."""
        serving = self.parts.serving
        return None if serving is None else serving.current.generation

    @property
    def parts(self) -> Parts:
        """The parts of the application, below its layers."""
        app: Any = self.app
        while not hasattr(app, "state"):
            app = app._app
        parts: Parts = app.state.parts
        return parts

    def do(self, work: Any) -> Any:
        """Run a coroutine on the service's event loop."""
        return self._runner.run(work)

    def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Send one request."""
        answer: httpx.Response = self.do(self.client.request(method, path, **options))
        return answer

    def get(self, path: str, **options: Any) -> httpx.Response:
        """Send a GET."""
        return self.ask("GET", path, **options)

    def post(self, path: str, body: object, **options: Any) -> httpx.Response:
        """Send a POST with a JSON body."""
        return self.ask("POST", path, json=body, **options)
