"""From three tables to the YAML of a first run."""

from pathlib import Path

from export.contract.errors import ConfigError
from training.config import read_config
from training.start.page import page
from training.start.plan import make_plan
from training.start.tables import Tables


def start(data: Path, out: Path, *, force: bool = False) -> None:
    """Write a commented YAML for the tables of a data folder.

    Raises:
        ConfigError: The file is there and `force` does not say to replace it, or its folder is
            not there.
        DataError: A table cannot be used; names file, column, row.
    """
    if out.exists() and not force:
        raise ConfigError(f"{out}: is there already; --force replaces it, --out names another")
    if not out.parent.is_dir():
        raise ConfigError(f"--out {out}: no such folder")
    tables = Tables.read(data)
    text = page(make_plan(tables), tables, out)
    out.write_text(text, encoding="utf-8")
    read_config(out)
