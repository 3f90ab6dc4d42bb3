"""Options of a benchmark on its command line: a model's fields, with its defaults."""

import argparse
from typing import TypeVar

from export.contract.strict import Strict

Options = TypeVar("Options", bound=Strict)


def add_options(parser: argparse.ArgumentParser, defaults: Strict, *names: str) -> None:
    """Add a model's fields as options, `pause_s` as `--pause-s`; each is read as its default is."""
    for name in names:
        default = getattr(defaults, name)
        option = f"--{name.replace('_', '-')}"
        parser.add_argument(option, type=type(default), default=default)


def chosen(asked: argparse.Namespace, kind: type[Options]) -> Options:
    """Make the model of what was asked; fields that are no options keep their defaults.

    Raises:
        ValidationError: A value is none that the model takes.

    """
    given = {name: getattr(asked, name) for name in kind.model_fields if hasattr(asked, name)}
    return kind.model_validate(given)
