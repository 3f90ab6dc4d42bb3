"""The files of the data folder that a configuration names, each with the key that does."""

from collections.abc import Iterator, Mapping
from typing import Any

from export.contract.errors import DataError
from export.contract.strict import Strict
from training.config import TrainConfig
from training.vectors import VectorFiles


def named_files(value: object, key: str = "") -> Iterator[tuple[str, str]]:
    """Give the key and the name of each file that a configuration, or what it holds, reads."""
    if isinstance(value, Strict):
        yield from ((key, file) for file in value.data_files)
        value = dict(value)
    members: list[tuple[Any, Any]] = []
    if isinstance(value, Mapping):
        members = [*value.items()]
    if isinstance(value, list | tuple):
        members = [(getattr(one, "kind", at), one) for at, one in enumerate(value)]
    for name, member in members:
        yield from named_files(member, f"{key}.{name}" if key else str(name))


def check_files(config: TrainConfig) -> None:
    """Check that the files are there, before any is read.

    Raises:
        DataError: One is not; names it and the key.

    """
    for key, file in named_files(config):
        path = config.data.folder / file
        if not path.is_file():
            are_factors = key.startswith("losses.") or file in VectorFiles().data_files
            fits = "; `firstsight factors` fits factors" if are_factors else ""
            named = key.removesuffix(".statistic")  # where it may be written flat
            raise DataError(f"{path}: no such file, and {named} names it: lay it there{fits}")
