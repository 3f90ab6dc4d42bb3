"""The commands `firstsight bundle ...`: what is served next, and what is served again."""

import json
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from pydantic import SecretStr

from export.contract.errors import ConfigError
from service.generation import Generation
from service.redis.embedded import RedisFailed, running_url
from service.rollout.bundles import Listed, list_bundles
from service.rollout.bundles import publish as publish_bundle
from service.rollout.overview import overview, row
from service.rollout.pointer import Pointer
from service.rollout.pointer_store import PointerUnknown, read_pointer
from service.rollout.rollout import activate as activate_version
from service.rollout.rollout import rollback as roll_back
from service.settings import Settings, read_settings

bundle = typer.Typer()

Folder = Annotated[Path, typer.Argument(help="A bundle.", metavar="PATH")]
RedisUrl = Annotated[
    str | None,
    typer.Option(help="URL of the service's Redis.  [default: the embedded one that runs]"),
]

Expect = Annotated[
    int | None,
    typer.Option(help="Refuse if the pointer is of another generation.", show_default=False),
]

SIZES = ("B", "KiB", "MiB", "GiB", "TiB")


@bundle.callback()
def _bundle() -> None:
    """Check, publish and activate bundles; settings come from FIRSTSIGHT_* (docs/settings.md)."""


@bundle.command("verify")
def verify(path: Folder) -> None:
    """Read a bundle as the service would: checksums, schema, vectors, golden queries, index."""
    generation = Generation.load(path)
    report = generation.bundle.manifest.index
    typer.echo(
        f"{path}: good. version {generation.version}, {len(generation)} items, "
        f"{generation.schema.dim} dimensions, recall@{report.k} {report.measured_recall:.4f}"
    )


@bundle.command("publish")
def publish(path: Folder) -> None:
    """Verify a bundle and copy it into FIRSTSIGHT_BUNDLES."""
    settings = read_settings()
    manifest, is_new = publish_bundle(settings.bundles, path)
    told = "published" if is_new else "is there already, the same"
    typer.echo(f"{settings.bundles / manifest.version}: {told}. {manifest.items} items")


@bundle.command("list")
def show(
    redis: RedisUrl = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """List the versions that are there, and which is served."""
    settings = read_settings(redis=redis)
    pointer, unknown = None, None
    try:
        pointer = read_pointer(_with_redis(settings))
    except (PointerUnknown, ConfigError) as error:
        unknown = str(error)
    listed = list_bundles(settings.bundles)
    if as_json:
        document = overview(listed, pointer, unknown)
        typer.echo(json.dumps(document, default=datetime.isoformat, indent=1))
        return
    for one in listed:
        typer.echo(_line(one, pointer))
    if not listed:
        typer.echo(f"no versions in {settings.bundles} (FIRSTSIGHT_BUNDLES)", err=True)
    if unknown is not None:
        typer.echo(f"which version is current is not known: {unknown}", err=True)
    elif pointer is None:
        typer.echo("no version is current yet", err=True)
    else:
        typer.echo(f"generation {pointer.generation}: {pointer}", err=True)


@bundle.command("activate")
def activate(
    version: Annotated[str, typer.Argument(help="A version in FIRSTSIGHT_BUNDLES.")],
    share: Annotated[
        float, typer.Option(help="Share of users who are served it, to try it; 1: all.")
    ] = 1.0,
    expect: Expect = None,
    redis: RedisUrl = None,
) -> None:
    """Verify a published version and make it the one that is served."""
    settings = _with_redis(read_settings(redis=redis))
    _tell(*activate_version(settings, version, share, expect))


@bundle.command("rollback")
def rollback(expect: Expect = None, redis: RedisUrl = None) -> None:
    """Serve the version before again; or drop the candidate, if one is tried."""
    _tell(*roll_back(_with_redis(read_settings(redis=redis)), expect))


def _with_redis(settings: Settings) -> Settings:
    """Return settings that name a Redis: the given one, or the embedded one of the data folder."""
    if settings.redis is not None:
        return settings
    try:
        url = running_url(settings.data_folder / "redis")
    except RedisFailed as error:
        raise ConfigError(str(error)) from error
    if url is None:
        raise ConfigError(
            f"no service runs on the data folder {settings.data_folder}; start one, or name its "
            "Redis with --redis"
        )
    return settings.model_copy(update={"redis": SecretStr(url)})


def _tell(before: Pointer | None, after: Pointer) -> None:
    if after == before:
        typer.echo(f"nothing to change. generation {after.generation}: {after}")
        return
    was = "none" if before is None else before
    typer.echo(f"generation {after.generation}: {after}; before: {was}")


def _line(one: Listed, pointer: Pointer | None) -> str:
    if one.fault is not None:
        return f"{one.version}  {one.fault}"
    facts = row(one, pointer)
    roles = ", ".join(facts["roles"])
    share = f" {facts['share']:.4g}" if facts["share"] is not None else ""
    created = f"{one.created:%Y-%m-%d %H:%M}" if one.created else "-"
    size = _size(one.size_bytes)
    return f"{one.version:24} {created}  {one.items:>10} items {size:>10}  {roles}{share}".rstrip()


def _size(size_bytes: float) -> str:
    for unit in SIZES:
        if size_bytes < 1024 or unit == SIZES[-1]:
            break
        size_bytes /= 1024
    return f"{size_bytes:.4g} {unit}"
