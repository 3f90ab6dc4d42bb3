"""Loads tables into a running service: each row checked here, then sent, each refusal named."""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import typer
from rich.console import Console
from rich.progress import Progress

from export.contract.errors import RecordError
from export.contract.features import Raw
from export.contract.side import Side
from export.contract.tables import read_as_of, read_ids, read_table, unique_ids
from service.commands.client import Client, ServiceFailed
from service.http.http_date import http_date

BATCH = 500
PUTS_AT_ONCE = 8


@dataclass(frozen=True)
class Row:
    """One row of a table, from 1, with its parsed record."""

    number: int
    id: str
    record: dict[str, Raw]


@dataclass
class Tally:
    """How many rows were loaded, and why others were not."""

    noun: str
    loaded: int = 0
    newer: int = 0
    erased: int = 0
    refused: list[str] = field(default_factory=list)

    def refuse(self, number: int, one: str, reason: str) -> None:
        """Note a row that was not loaded."""
        self.refused.append(f"row {number}, {self.noun} {one!r}: {reason}")

    def note(self, row: Row, failed: ServiceFailed | None) -> None:
        """Note what became of a row under a condition: loaded, kept, skipped or refused."""
        match failed and failed.problem.get("reason"):
            case _ if failed is None:
                self.loaded += 1
            case "newer":
                self.newer += 1
            case "erased":
                self.erased += 1
            case _:
                self.refuse(row.number, row.id, str(failed))

    def report(self) -> int:
        """Print the outcome; return the exit code."""
        for line in sorted(self.refused, key=lambda told: int(told.split(",")[0][4:])):
            typer.echo(line, err=True)
        kept = f"kept {self.newer} newer, skipped {self.erased} erased, "
        among = kept if self.noun == "user" else ""
        typer.echo(f"loaded {self.loaded}, {among}refused {len(self.refused)}")
        return 1 if self.refused else 0


def load_items(path: Path, client: Client) -> int:
    """Post the items of a table in batches; return the exit code."""
    tally = Tally("item")

    def post(rows: Sequence[Row]) -> None:
        batch = [{"id": row.id, **row.record} for row in rows]
        results = client.call("POST", "/items?vector=false", {"items": batch})["results"]
        for row, result in zip(rows, results, strict=True):
            if result["status"] < 400:
                tally.loaded += 1
            else:
                tally.refuse(row.number, row.id, result["detail"])

    with client:
        return _load(path, _side(client, "item"), tally, post)


def load_users(path: Path, client: Client, as_of: datetime | None = None) -> int:
    """Put the users of a table, several at once; return the exit code.

    Whoever was written or erased after the moment that the table tells of stays as they are.
    """
    tally = Tally("user")
    condition = {"If-Unmodified-Since": http_date(as_of or _moment_of(path))}

    def put(row: Row) -> ServiceFailed | None:
        try:
            client.call("PUT", f"/users/{quote(row.id, safe='')}", row.record, condition)
        except ServiceFailed as failed:
            if failed.status == 0:
                raise
            return failed
        return None

    def put_all(rows: Sequence[Row]) -> None:
        for row, failed in zip(rows, pool.map(put, rows), strict=True):
            tally.note(row, failed)

    with client, ThreadPoolExecutor(PUTS_AT_ONCE) as pool:
        return _load(path, _side(client, "user"), tally, put_all)


def delete_items(ids: Iterable[str], client: Client) -> None:
    """Remove items."""
    with client:
        for one in ids:
            client.call("DELETE", f"/items/{quote(one, safe='')}")


def _moment_of(path: Path) -> datetime:
    """Return the moment that a table tells of: as it says, or when the file was modified."""
    if (moment := read_as_of(path)) is not None:
        return moment
    modified = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    told = modified.isoformat(timespec="seconds")
    typer.echo(
        f"{path} does not say as of when it is: taken as of its modification, {told}; "
        "--as-of gives another moment",
        err=True,
    )
    return modified


def _side(client: Client, name: str) -> Side:
    """Return one side of the schema that the service serves."""
    features: dict[str, Any] = client.call("GET", "/version")["features"][name]
    return Side.model_validate(features)


def _load(path: Path, side: Side, tally: Tally, send: Callable[[Sequence[Row]], None]) -> int:
    table = read_table(path)
    ids = read_ids(table, f"{tally.noun}_id", path)
    unique_ids(ids, f"{tally.noun}_id", path)
    known = {**side.content, **side.preference}
    columns = [name for name in table.column_names if name in known]
    if ignored := [n for n in table.column_names if n not in known and n != f"{tally.noun}_id"]:
        typer.echo(f"columns that are no features: {', '.join(ignored)}", err=True)
    with Advance(tally.noun, len(ids)) as advance:
        for start in range(0, len(ids), BATCH):
            part = table.select(columns).slice(start, BATCH)
            rows = list(_parsed(part, ids[start : start + BATCH], start, side, tally))
            if rows:
                send(rows)
            advance(min(BATCH, len(ids) - start))
    return tally.report()


def _parsed(
    part: pa.Table, ids: Sequence[str], start: int, side: Side, tally: Tally
) -> Iterator[Row]:
    """Parse rows; note those that cannot be read."""
    cells = part.to_pylist() if part.num_columns else [{}] * len(ids)
    for number, (one, row) in enumerate(zip(ids, cells, strict=True), start=start + 1):
        try:
            yield Row(number, one, side.parse(row, cells=True))
        except RecordError as error:
            tally.refuse(number, one, str(error))


class Advance:
    """Show a bar on a terminal, and a line for every tenth elsewhere."""

    def __init__(self, noun: str, total: int) -> None:
        self._noun, self._total, self._done = noun, total, 0
        self._bar = Progress(console=Console(stderr=True)) if sys.stderr.isatty() else None

    def __enter__(self) -> Callable[[int], None]:
        if self._bar is not None:
            self._bar.start()
            self._task = self._bar.add_task(f"{self._noun}s", total=self._total)
        return self._advance

    def _advance(self, count: int) -> None:
        tenths = 10 * self._done // self._total
        self._done += count
        if self._bar is not None:
            self._bar.advance(self._task, count)
        elif 10 * self._done // self._total > tenths:
            typer.echo(f"{self._done} of {self._total} {self._noun}s", err=True)

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.stop()
