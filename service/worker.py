"""What a loader serves: loads the generation before the fork, runs the application after it."""

import socket

import uvicorn

from service.app import create_app
from service.control import WorkerControl
from service.draining import DrainingServer
from service.generation import Generation
from service.logs import log_as_json
from service.pointer import activate_first, bundle_to_serve
from service.preparation import prepare
from service.settings import Settings
from service.store import Store


def load(settings: Settings) -> Generation | None:
    """Return the generation to serve; None while there is no bundle.

    Raises:
        BundleError: The bundle to serve cannot be served.

    """
    log_as_json(settings.log_level)
    folder = bundle_to_serve(settings)
    if folder is None:
        return None
    generation = Generation.load(folder)
    prepare(generation, open_store(settings, generation))
    activate_first(settings, generation.version)
    return generation


def run_worker(
    settings: Settings,
    generation: Generation | None,
    sock: socket.socket,
    control: WorkerControl,
) -> None:
    """Serve on a socket until told to leave."""
    store = None if generation is None else open_store(settings, generation)
    app = create_app(settings, generation, store, control)
    config = uvicorn.Config(
        app,
        http="httptools",
        loop="uvloop",
        lifespan="on",
        ws="none",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_keep_alive=max(1, round(settings.linger_s)),
    )
    DrainingServer(config, control).run(sockets=[sock])


def open_store(settings: Settings, generation: Generation) -> Store:
    """Return the store, read with the generation's schema; it connects when it is asked."""
    assert settings.redis is not None, "the supervisor says where Redis is"
    return Store(
        settings.redis.get_secret_value(),
        generation.schema,
        prefix=settings.prefix,
        timeout_s=settings.store_timeout_ms / 1000,
        erased_kept_s=settings.erased_kept_days * 86_400,
    )
