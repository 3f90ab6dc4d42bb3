"""The commands of this room: `firstsight export`, `embed` and `recall`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from export.offline import embed_file, recall_file

Side = Literal["user", "item"]


def export(
    run: Annotated[Path, typer.Argument(help="A finished run.")],
    out: Annotated[Path, typer.Option(help="The bundle: a folder named as its version.")],
    users: Annotated[
        bool, typer.Option("--users", help="Write users.parquet beside the bundle, too.")
    ] = False,
    catalogue: Annotated[
        Literal["all", "trained"],
        typer.Option(help="Every item of the items table, or those training has seen."),
    ] = "all",
    recall: Annotated[
        float, typer.Option(help="Recall@100 the index is tuned to.", min=0.5, max=1.0)
    ] = 0.99,
    index: Annotated[
        Literal["hnsw", "compact"],
        typer.Option(help="A graph, or 8-bit codes: a fifth of the memory, needs faiss."),
    ] = "hnsw",
    log_id: Annotated[
        str | None,
        typer.Option(help="What /readyz gave when the data was taken: later writes win over it."),
    ] = None,
) -> None:
    """Make a bundle of a run."""
    # With torch, which `embed` and `recall` do without.
    from export.bundling import export_run, export_users

    manifest = export_run(
        run,
        out,
        catalogue=catalogue,
        target_recall=recall,
        index=index,
        log_id=log_id,
        on_note=typer.echo,
    )
    typer.echo(f"wrote {out} (version {manifest.version}, {manifest.items} items)")
    if users:
        beside = out.parent / "users.parquet"
        export_users(run, beside)
        typer.echo(f"wrote {beside}; load it with: firstsight users load {beside}")


def embed(
    bundle: Annotated[Path, typer.Argument(help="A bundle's folder.")],
    file: Annotated[Path, typer.Argument(help="A table with user_id or item_id and features.")],
    side: Annotated[Side, typer.Option(help="Whose tower.")],
    out: Annotated[Path, typer.Option(help="The .parquet or .csv file to write.")],
) -> None:
    """Turn records into vectors, without a service."""
    rows = embed_file(bundle, side, file, out, on_note=_note)
    typer.echo(f"wrote {out} ({rows} vectors)")


def recall(
    bundle: Annotated[Path, typer.Argument(help="A bundle's folder.")],
    users: Annotated[Path, typer.Option(help="A table with user_id and features.")],
    out: Annotated[Path, typer.Option(help="The .parquet or .csv file to write.")],
    k: Annotated[int, typer.Option(help="Items a user.", min=1)] = 100,
    items: Annotated[
        Path | None, typer.Option(help="Recall from this table instead of the catalogue.")
    ] = None,
    exact: Annotated[bool, typer.Option("--exact", help="Search exactly.")] = False,
) -> None:
    """Recall for many users, without a service."""
    rows = recall_file(bundle, users, k, out, items=items, exact=exact, on_note=_note)
    typer.echo(f"wrote {out} ({rows} rows)")


def _note(text: str) -> None:
    typer.echo(text, err=True)
