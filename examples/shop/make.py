"""Writes the three CSV files of a made shop, as an export from a database may look.

python examples/shop/make.py --out shop

It is the generated world of examples/synthetic without its answers: no split, no list of cold ids.
"""

import tempfile
from pathlib import Path
from typing import Annotated

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
import typer

from examples.synthetic.generate import generate


def make(folder: Path, *, users: int = 400, items: int = 300, seed: int = 1) -> None:
    """Write interactions.csv, users.csv and items.csv."""
    with tempfile.TemporaryDirectory() as world:
        generate(Path(world), users=users, items=items, seed=seed)
        made = {
            name: pq.read_table(Path(world) / f"{name}.parquet")
            for name in ("interactions", "users", "items")
        }
    made["interactions"] = made["interactions"].drop_columns(["order", "split"])
    made["items"] = _items(made["items"], np.random.default_rng(seed))
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in made.items():
        pyarrow.csv.write_csv(table, folder / f"{name}.csv")


def _items(table: pa.Table, rng: np.random.Generator) -> pa.Table:
    """Write tags as `art|cats`, and add a title and a number of stock that is an id."""
    tags = table.column("tags").to_pylist()
    groups = (
        ("the", "a", "my", "your"),
        ("little", "great", "first", "last"),
        ("book", "hour", "day"),
    )
    titles = [
        " ".join([*(group[rng.integers(len(group))] for group in groups), "of", *one, str(number)])
        for number, one in enumerate(tags)
    ]
    joined = pc.binary_join(table.column("tags").combine_chunks(), "|")
    table = table.set_column(table.column_names.index("tags"), "tags", joined)
    stock = pa.array([f"S-{number:06}" for number in rng.permutation(len(table))])
    return table.append_column("title", pa.array(titles)).append_column("stock_no", stock)


def main(
    out: Annotated[Path, typer.Option(help="folder to write the tables into")],
    users: int = 400,
    items: int = 300,
    seed: int = 1,
) -> None:
    """Make the shop."""
    make(out, users=users, items=items, seed=seed)
    typer.echo(f"wrote interactions.csv, users.csv and items.csv into {out}")


if __name__ == "__main__":
    typer.run(main)
