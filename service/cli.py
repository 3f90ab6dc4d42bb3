"""The commands of this room: `firstsight serve`, `items`, `users` and `bundle`."""

import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from pydantic import SecretStr

from export.contract.errors import ConfigError
from service.logs import log_as_json
from service.settings import Settings, injected_names, read_settings
from service.supervisor import Plan, StartFailed
from service.supervisor import serve as supervise

logger = logging.getLogger(__name__)

METRICS = "PROMETHEUS_MULTIPROC_DIR"

Url = Annotated[str, typer.Option(help="The service.")]
Table = Annotated[Path, typer.Argument(help="A .parquet or .csv file.")]

SERVICE = "http://127.0.0.1:8000"

items = typer.Typer()
users = typer.Typer()
bundle = typer.Typer()


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
    log_as_json(settings.log_level)
    if injected := injected_names(os.environ):
        logger.info("names that Kubernetes set are ignored", extra={"names": injected})
    if settings.bundle is not None and not (settings.bundle / "manifest.json").is_file():
        raise ConfigError(f"{settings.bundle}: no bundle here (manifest.json is missing)")
    with _metrics_folder():
        try:
            supervise(plan_of(settings))
        except StartFailed as error:
            raise NotServing(str(error)) from error


def plan_of(settings: Settings) -> Plan:
    """Return what the supervisor needs to know."""
    return Plan(
        application="service.worker",
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
    if METRICS in os.environ:
        yield
        return
    os.environ[METRICS] = tempfile.mkdtemp(prefix="firstsight-metrics-")
    try:
        yield
    finally:
        shutil.rmtree(os.environ.pop(METRICS), ignore_errors=True)


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        expected = "a moment in ISO 8601, as 2026-01-31T12:00:00Z"
        raise ConfigError(f"--as-of: got {text!r}, expected {expected}") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


@items.command("load")
def load_items(file: Table, url: Url = SERVICE) -> None:
    """Post every item of a table with a column `item_id`; its other columns are features."""
    from service.load_table import load_items as load

    raise typer.Exit(load(file, url))


@items.command("delete")
def delete_items(
    ids: Annotated[list[str], typer.Argument(help="Ids of items.")], url: Url = SERVICE
) -> None:
    """Remove items."""
    from service.load_table import delete_items as delete

    delete(ids, url)
    typer.echo(f"removed {len(ids)}")


@users.command("load")
def load_users(
    file: Table,
    url: Url = SERVICE,
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
    from service.load_table import load_users as load

    raise typer.Exit(load(file, url, as_of))


@users.callback()
def _users() -> None:
    """Load users into a service."""


@bundle.command("verify")
def verify(path: Annotated[Path, typer.Argument(help="A bundle.")]) -> None:
    """Read a bundle as the service would: checksums, schema, vectors, golden queries, index."""
    from service.generation import Generation

    generation = Generation.load(path)
    report = generation.bundle.manifest.index
    typer.echo(
        f"{path}: good. version {generation.version}, {len(generation)} items, "
        f"{generation.schema.dim} dimensions, recall@{report.k} {report.measured_recall:.4f}"
    )


@bundle.callback()
def _bundle() -> None:
    """Check a bundle."""
