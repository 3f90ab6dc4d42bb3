"""What a loader serves: loads generations before the fork, runs the application after it."""

import logging
import socket
from collections.abc import Collection
from functools import partial

import uvicorn

from service.app import create_app
from service.http.admission import Admission
from service.logs import log_as_json
from service.processes.control import WorkerControl
from service.processes.draining import DrainingServer
from service.processes.loaded import Loaded, load_served
from service.processes.preparation import forget_vectors
from service.processes.refusing import RefusingProtocol
from service.redis.policy import refuse_unfit
from service.rollout.pointer_store import PointerUnknown, activate_first, read_pointer
from service.settings import Settings
from service.snapshot import kept_in
from service.stores import open_link, open_store

logger = logging.getLogger(__name__)


def load(settings: Settings, *, served: Collection[str] = ()) -> Loaded | None:
    """Return what is to be served; None while there is no bundle.

    Args:
        settings: As the command read them.
        served: The versions that others serve meanwhile, who know all that was posted.

    Raises:
        RedisRefused: Nobody serves yet, and Redis must not hold the catalogue, or cannot.
        BundleError: The current version cannot be served; or others serve it, the candidate, or
            all items, better than this could.

    """
    log_as_json(settings.log_level)
    if not served and settings.redis is not None:  # else it is in use, whatever it is by now
        url = settings.redis.get_secret_value()
        refuse_unfit(url, settings.prefix, write_ack=settings.write_ack)
    if fault := kept_in(settings).fault():
        facts = {"reason": fault, "remedy": "a FIRSTSIGHT_DATA_FOLDER that can be written to"}
        logger.warning("snapshots cannot be written: a start will read all items", extra=facts)
    loaded = load_served(settings, served=served)
    if loaded is None:
        return None
    activate_first(settings, loaded.pointer.current)
    forget_unnamed(settings, loaded)
    return loaded


def versions(loaded: Loaded | None) -> list[str]:
    """Name the versions that were loaded."""
    return [] if loaded is None else [*loaded.generations]


def forget_unnamed(settings: Settings, loaded: Loaded) -> None:
    """Have Redis forget vectors of versions that nobody is served, by the pointer as it is now.

    The one that was read before the load may be long past; and who has loaded another version than
    the current one by now leaves this to those who have that.
    """
    try:
        pointer = read_pointer(settings)
    except PointerUnknown:
        return
    if pointer is not None and pointer.current in loaded.generations:
        forget_vectors(open_store(settings, loaded.generations[pointer.current]), pointer)


def run_worker(
    settings: Settings, loaded: Loaded | None, sock: socket.socket, control: WorkerControl
) -> None:
    """Serve on a socket until told to leave."""
    admission = Admission(settings.limits)
    app = create_app(settings, loaded, open_link(settings), control, admission)
    head_timeout_s = settings.limits.body_timeout_s
    protocol = partial(RefusingProtocol, admission=admission, head_timeout_s=head_timeout_s)
    config = uvicorn.Config(
        app,
        http=protocol,  # type: ignore[arg-type]  # which is called, and nothing else
        loop="uvloop",
        lifespan="on",
        ws="none",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,  # nobody here asks who the client is
        timeout_keep_alive=max(1, round(settings.linger_s)),
    )
    DrainingServer(config, control).run(sockets=[sock])
