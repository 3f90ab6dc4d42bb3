"""Variation: one configuration under a name for each value of one of its options."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from export.contract.errors import ConfigError
from training.config import TrainConfig, read_config
from training.document import parse_yaml

Value = float | int | bool | str | None


@dataclass(frozen=True)
class Variation:
    """The values of one option, in the order they were asked for."""

    path: str
    values: tuple[Value, ...]

    @property
    def named(self) -> dict[str, Value]:
        """The values by what each configuration is called: `dropout.item=0.5`."""
        return {f"{self.path}={word(value)}": value for value in self.values}

    def document(self) -> dict[str, Any]:
        """Return what a report needs to know beside the figures of each name."""
        return {"path": self.path, "values": self.named}


def read_variation(text: str) -> Variation:
    """Return the path and the values of `path=value,value,...`, which are numbers or words.

    Raises:
        ConfigError: It is something else, or a value cannot be part of a folder's name.
    """
    path, equals, right = text.partition("=")
    wrong = ConfigError(
        f"--vary {text}: expected path=value,value,... with two or more numbers or words"
    )
    try:
        values = parse_yaml(f"[{right}]")
    except yaml.YAMLError as error:
        raise wrong from error
    if not equals or not path or not isinstance(values, list) or len(values) < 2:
        raise wrong
    if not all(_is_plain(value) for value in values):
        raise wrong
    found = Variation(path, tuple(values))
    if len(found.named) < len(values):
        raise ConfigError(f"--vary {text}: a value stands twice")
    for name in found.named:
        if Path(name).name != name:
            raise ConfigError(f"--vary {text}: {name!r} cannot be the name of a run's folder")
    return found


def varied(path: Path, overrides: list[str] | None, variation: Variation) -> dict[str, TrainConfig]:
    """Read a run's YAML once for each value.

    Raises:
        ConfigError: The path leads nowhere, a value is not allowed there, two of them mean the
            same, or the option decides what is measured.
    """
    said = f"--vary {variation.path}"
    found: dict[str, TrainConfig] = {}
    for name, value in variation.named.items():
        assignment = f"{variation.path}={json.dumps(value)}"
        config = read_config(path, overrides, vary=assignment)
        if same := [other for other in found if found[other] == config]:
            raise ConfigError(f"{said}: {same[0]} and {name} are the same configuration")
        found[name] = config
    first, *others = (_measured_by(config) for config in found.values())
    if any(other != first for other in others):
        raise ConfigError(
            f"{said}: data, split, training.seed and training.select are the same for all that "
            "is compared; seeds are given by --seeds"
        )
    return found


def word(value: Value) -> str:
    """Return what a value is called, one way for each: `.50` is 0.5."""
    return value if isinstance(value, str) else json.dumps(value)


def _is_plain(value: object) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, int | str)


def _measured_by(config: TrainConfig) -> tuple[object, ...]:
    """Return what decides on which rows, and by which figure, a configuration is judged."""
    training = config.training
    return config.data, config.split, training.seed, training.select
