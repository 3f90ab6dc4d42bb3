"""The shortest way from a request to its endpoint, for paths that hold no parameter."""

from collections.abc import Awaitable, Callable

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from service.errors import Internal, answer, as_problem

Endpoint = Callable[[Request], Awaitable[Response]]


class Direct:
    """Has each request answered by its endpoint, found by path and method where that is enough.

    The application's own way (its stack of handlers, its routes one after the other, a dependency
    solver) costs a request as much as a search does. It is taken by whatever has a parameter in
    its path, and by what no endpoint answers; errors become the same problems on either.

    Paths are matched as they were sent, so that `%2F` does not end an id.
    """

    def __init__(self, app: FastAPI) -> None:
        self._app = app
        self._routes: dict[tuple[str, str], tuple[APIRoute, Endpoint]] = {
            (route.path, method): (route, route.endpoint)
            for route in app.routes
            if isinstance(route, APIRoute) and not route.param_convertors
            for method in route.methods or ()
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Have a request answered; what is a fault of ours is raised after that, to be logged."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if raw := scope.get("raw_path"):
            scope["path"] = raw.decode("latin-1")
        found = self._routes.get((scope["path"], scope["method"]))
        if found is None:
            await self._app(scope, receive, send)
            return
        scope["app"] = self._app
        scope["route"], endpoint = found
        try:
            response = await endpoint(Request(scope, receive))
        except Exception as error:
            problem = as_problem(error)
            await answer(problem)(scope, receive, send)
            if isinstance(problem, Internal):
                raise
            return
        await response(scope, receive, send)
