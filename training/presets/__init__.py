"""Presets: known models, laid over the data, features, split and budget of a configuration."""

import copy
from importlib.resources import files
from typing import Any

from export.contract.errors import ConfigError
from training.document import parse_yaml

MODEL = ("similarity", "losses", "negatives", "dropout")
TOWERS = ("tower", "user_tower", "item_tower")
OPTIMISER = ("learning_rate", "warmup", "decay", "weight_decay", "embedding_decay", "clip_norm")


def names() -> list[str]:
    """Return the presets there are; each is a YAML beside this file."""
    found = files(__name__).iterdir()
    return sorted(one.name[: -len(".yaml")] for one in found if one.name.endswith(".yaml"))


def read_preset(name: str) -> dict[str, Any]:
    """Return a preset's document.

    Raises:
        ConfigError: There is none of this name.
    """
    if name not in names():
        raise ConfigError(f"preset {name!r}: expected one of {', '.join(names())}")
    found: dict[str, Any] = parse_yaml((files(__name__) / f"{name}.yaml").read_text("utf-8"))
    return found


def with_preset(raw: dict[str, Any], name: str) -> dict[str, Any]:
    """Return a configuration whose model is the preset's; what was asked for stays as it is.

    Towers, similarity, losses, negatives and dropout are the preset's, or the defaults where it
    says nothing. Of `training` it may set how the optimiser steps; epochs, batch, seed and
    selection are the configuration's, so that presets are compared on one budget. Features and
    factors that the preset needs are added, unless such are there.

    Raises:
        ConfigError: There is no preset of this name.
    """
    preset, found = read_preset(name), copy.deepcopy(raw)
    for key in (*MODEL, *TOWERS):
        found.pop(key, None)
        if key in preset:
            found[key] = preset[key]
    budget = found.get("training") or {}
    if isinstance(budget, dict):  # what is no section is refused with the rest of what was asked
        budget = {k: v for k, v in budget.items() if k not in OPTIMISER}
        found["training"] = budget | preset.get("training", {})
    if "factors" in preset:
        found.setdefault("factors", preset["factors"])
    for side in ("user", "item"):
        groups = found.setdefault(side, {})
        for group, features in preset.get(side, {}).items() if isinstance(groups, dict) else ():
            there = groups.setdefault(group, {})
            groups[group] = features | there if isinstance(there, dict) else there
    return found
