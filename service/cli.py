"""The commands of this room: `firstsight serve`, `items` and `users`."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import SecretStr

from export.contract.errors import ConfigError
from service.child.environment import ENVIRONMENT
from service.keys.key import check_keys
from service.logs import log_as_json
from service.metrics_home import metrics_home
from service.settings import Settings, injected_names, read_settings
from service.supervisor import Plan, StartFailed
from service.supervisor import serve as supervise

if TYPE_CHECKING:
    from service.commands.client import Client

logger = logging.getLogger(__name__)

EXPORTER = "opentelemetry-exporter-otlp-proto-http"
METRICS = "PROMETHEUS_MULTIPROC_DIR"

Url = Annotated[
    str | None,
    typer.Option(
        help="The service.  [default: where FIRSTSIGHT_HOST and FIRSTSIGHT_PORT say `serve` is]"
    ),
]
Table = Annotated[Path, typer.Argument(help="A .parquet or .csv file.")]

Bundle = Annotated[
    Path | None, typer.Option(help="As `serve` was given it, if it was.", show_default=False)
]
RedisUrl = Annotated[
    str | None, typer.Option(help="URL of your Redis.  [default: the embedded one of a service]")
]

items = typer.Typer()
users = typer.Typer()


class NotServing(Exception):
    """Serving could not start; the message is the one line that says why."""

    exit_code = 3


def serve(
    bundle: Annotated[
        Path | None, typer.Option(help="Served if no version is active yet.", show_default=False)
    ] = None,
    redis: Annotated[
        str | None, typer.Option(help="URL of your Redis.  [default: an embedded one]")
    ] = None,
    host: Annotated[str | None, typer.Option(help="Address.  [default: 127.0.0.1]")] = None,
    port: Annotated[int | None, typer.Option(help="Port.  [default: 8000]")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes.  [default: 1]")] = None,
) -> None:
    """Serve a bundle over HTTP until Ctrl-C; settings come from FIRSTSIGHT_* (docs/settings.md)."""
    settings = read_settings(bundle=bundle, redis=redis, host=host, port=port, workers=workers)
    check_keys(settings)
    log_as_json(settings.log_level)
    if injected := injected_names(os.environ):
        logger.info("names that Kubernetes set are ignored", extra={"names": injected})
    _check_offered(settings)
    _refuse_untraceable(settings)
    with _metrics_folder():
        try:
            supervise(plan_of(settings))
        except StartFailed as error:
            raise NotServing(str(error)) from error


def _check_offered(settings: Settings) -> None:
    """Refuse `--bundle` that is none at once, unless a version that was published may be active.

    Raises:
        ConfigError: It is none, and there is no other.

    """
    if settings.bundle is None or (settings.bundle / "manifest.json").is_file():
        return
    told = f"{settings.bundle}: no bundle here (manifest.json is missing)"
    if not any(settings.bundles.glob("*/manifest.json")):
        raise ConfigError(told)
    logger.warning("bundle not there", extra={"reason": told})


def _refuse_untraceable(settings: Settings) -> None:
    if settings.traces_url is None:
        return
    from importlib.metadata import PackageNotFoundError, version  # which few starts need

    try:
        version(EXPORTER)
    except PackageNotFoundError as error:
        needed = (
            "FIRSTSIGHT_TRACES_URL needs the extra 'tracing': pip install 'firstsight[tracing]'"
        )
        raise ConfigError(needed) from error


def plan_of(settings: Settings) -> Plan:
    """Return what the supervisor needs to know."""
    return Plan(
        application="service.processes.worker",
        settings_for=lambda url: settings.model_copy(update={"redis": SecretStr(url)}),
        host=settings.host,
        port=settings.port,
        workers=settings.workers,
        redis=None if settings.redis is None else settings.redis.get_secret_value(),
        data_folder=settings.data_folder,
        linger_s=settings.linger_s,
        grace_s=settings.grace_s,
        readiness_off_s=settings.readiness_off_s,
        load_timeout_s=settings.load_timeout_s,
    )


@contextmanager
def _metrics_folder() -> Iterator[None]:
    """Give all workers one folder for their metrics, before any of them starts."""
    if given := os.environ.get(METRICS):
        try:
            Path(given).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise NotServing(f"{METRICS}: {error}") from error
        yield
        return
    with metrics_home() as home:
        os.environ[METRICS] = str(home)
        try:
            yield
        finally:
            del os.environ[METRICS]


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        expected = "a moment in ISO 8601, as 2026-01-31T12:00:00Z"
        raise ConfigError(f"--as-of: got {text!r}, expected {expected}") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def replay(
    answer: Annotated[
        Path, typer.Argument(help="A JSON file: what a recall with `debug` answered.")
    ],
    bundle: Annotated[Path, typer.Option(help="The bundle that answered.")],
    snapshot: Annotated[
        Path | None, typer.Option(help="The folder of a snapshot.", show_default=False)
    ] = None,
    redis: Annotated[
        str | None, typer.Option(help="URL of its Redis, for what was written since the snapshot.")
    ] = None,
) -> None:
    """Make a recall's answer again, and compare all of it; docs/replay.md."""
    for name, value in ENVIRONMENT.items():  # how many threads add up changes a score's last bit
        os.environ.setdefault(name, value)
    from service.commands.replay import replay as run

    log_as_json("ERROR")
    settings = None if redis is None else read_settings(redis=redis)
    raise typer.Exit(run(answer, bundle, snapshot, settings))


def _service(url: str | None) -> "Client":
    from service.commands.client import Client, key_of, url_of

    settings = read_settings()
    return Client(url_of(settings) if url is None else url, key_of(settings))


@items.command("load")
def load_items(file: Table, url: Url = None) -> None:
    """Post every item of a table with a column `item_id`; its other columns are features."""
    from service.commands.load_table import load_items as load

    raise typer.Exit(load(file, _service(url)))


@items.command("delete")
def delete_items(
    ids: Annotated[list[str], typer.Argument(help="Ids of items.")], url: Url = None
) -> None:
    """Remove items."""
    from service.commands.load_table import delete_items as delete

    delete(ids, _service(url))
    typer.echo(f"removed {len(ids)}")


@items.command("snapshot")
def snapshot_items(bundle: Bundle = None, redis: RedisUrl = None) -> None:
    """Write a snapshot of all items that were changed since the bundle; docs/snapshots.md."""
    from service.commands.lone_replica import write_snapshot

    settings = read_settings(bundle=bundle, redis=redis)
    log_as_json("ERROR")
    path, is_new = write_snapshot(settings)
    if path is None:
        typer.echo("nothing to write: no item was changed since the bundle")
    else:
        typer.echo(f"wrote {path}" if is_new else f"nothing new since {path}")


@items.command("reconcile")
def reconcile_items(bundle: Bundle = None, redis: RedisUrl = None) -> None:
    """Compare snapshot and log with all items in Redis, and mend what differs."""
    from service.commands.lone_replica import reconcile

    settings = read_settings(bundle=bundle, redis=redis)
    log_as_json("ERROR")
    done = reconcile(settings)
    typer.echo(
        f"stored {done.stored} ({done.stored_checksum}), known {done.known} "
        f"({done.known_checksum}): read {done.read}, announced {done.announced}, "
        f"unreadable {done.unreadable}"
    )


@users.command("load")
def load_users(
    file: Table,
    url: Url = None,
    as_of: Annotated[
        datetime | None,
        typer.Option(
            parser=_moment,
            metavar="ISO-8601",
            help="The moment the table tells of.  [default: as the file says, else its mtime]",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Put every user of a table with a column `user_id`; its other columns are features.

    Users written after the moment the table tells of are kept as they are, erased ones are
    skipped, and both are counted; so loading a file again changes nothing.
    """
    from service.commands.load_table import load_users as load

    raise typer.Exit(load(file, _service(url), as_of))


@users.callback()
def _users() -> None:
    """Load users into a service."""
