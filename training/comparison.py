"""Which runs may be compared, and which are seeds of one configuration."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from export.contract.errors import ConfigError
from training.config import TrainConfig
from training.data import Data, read_data
from training.metrics import UserItems
from training.parts import TEST, TRAIN, VALIDATION, Split
from training.split import make_split
from training.subject import Subject

NOT_THE_RECIPE = ("data.", "training.seed")


def differences(one: TrainConfig, other: TrainConfig) -> list[str]:
    """Name what differs between two configurations: `losses.0.temperature: 0.1 against 0.2`."""
    first, second = (dict(_leaves(each.model_dump(mode="json"))) for each in (one, other))
    return [
        f"{key}: {first.get(key, 'none')} against {second.get(key, 'none')}"
        for key in (first | second)
        if first.get(key) != second.get(key)
    ]


def require_one_recipe(runs: Sequence[Subject]) -> None:
    """Refuse runs that differ in more than their seed.

    Raises:
        ConfigError: Names what differs.
    """
    for run in runs[1:]:
        found = _recipe_differences(runs[0].config, run.config)
        if found:
            raise ConfigError(
                f"{runs[0].name} and {run.name} are no seeds of one configuration: "
                f"{_some(found)}; give one of them as --baseline"
            )


def grouped(runs: Sequence[Subject]) -> dict[str, list[Subject]]:
    """Put seeds of one configuration together, under the name of the first."""
    groups: list[list[Subject]] = []
    for run in runs:
        for group in groups:
            if not _recipe_differences(group[0].config, run.config):
                group.append(run)
                break
        else:
            groups.append([run])
    return {_named(group): group for group in groups}


def require_same_rows(one: Subject, other: Subject, data: Data, split: Split) -> None:
    """Refuse a run that was made to be tested on other rows than `split` has.

    It may have trained on what tests here. Runs of equal `data` and `split` are the same; else
    both are read, and what tests, what was known before and who is cold have to be equal, by id.

    Raises:
        ConfigError: Names what differs.
    """
    if (one.config.data, one.config.split) == (other.config.data, other.config.split):
        return
    config = other.config
    theirs = read_data(config.data, config.user, config.item)
    ours = _facts(data, split)
    found = _facts(theirs, make_split(config.split, theirs, config.data.folder))
    differing = [name for name in ours if ours[name] != found[name]]
    if differing:
        keys = [
            text for text in differences(one.config, config) if text.startswith(("data.", "split."))
        ]
        raise ConfigError(
            f"{one.name} and {other.name} differ in {', '.join(differing)}, so their figures "
            f"cannot be compared ({_some(keys)})"
        )


def _recipe_differences(one: TrainConfig, other: TrainConfig) -> list[str]:
    return [text for text in differences(one, other) if not text.startswith(NOT_THE_RECIPE)]


def _named(group: Sequence[Subject]) -> str:
    return group[0].name if len(group) == 1 else f"{group[0].name} and {len(group) - 1} more"


def _facts(data: Data, split: Split) -> dict[str, frozenset[Any]]:
    """Return what has to be equal, by id, so that the order of tables does not count."""
    rows, users, items = data.interactions, data.users.ids, data.items.ids

    def named(at: Any) -> frozenset[Any]:
        triples = zip(rows.user[at].tolist(), rows.item[at].tolist(), rows.label[at], strict=True)
        return frozenset((users[user], items[item], int(label)) for user, item, label in triples)

    def listed(pairs: UserItems) -> frozenset[Any]:
        user, item = pairs.pairs(np.arange(len(users)))
        return frozenset((users[u], items[i]) for u, i in zip(user, item, strict=True))

    cold = {"users": (split.cold_users, users), "items": (split.cold_items, items)}
    return {
        "test rows": named(split.part == TEST),
        "rows known before test": named(np.isin(split.part, (TRAIN, VALIDATION))),
        **{
            f"cold {name}": frozenset(ids[at] for at in np.flatnonzero(flags[TEST]))
            for name, (flags, ids) in cold.items()
        },
        "items": frozenset(items),
        "candidates": frozenset(
            (name, frozenset(items[at] for at in found)) for name, found in split.candidates.items()
        ),
        "measured users": frozenset(
            (name, frozenset(users[at] for at in np.flatnonzero(found)))
            for name, found in split.users.items()
        ),
        "masks": frozenset((name, listed(found)) for name, found in split.masks.items()),
    }


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    members = value.items() if isinstance(value, dict) else enumerate(value)
    for key, member in members:
        if isinstance(member, dict | list) and member:
            yield from _leaves(member, f"{path}{key}.")
        else:
            yield f"{path}{key}", str(member) if isinstance(member, Path) else member


def _some(texts: Sequence[str]) -> str:
    return "; ".join(texts[:3]) + f"; and {len(texts) - 3} more" * (len(texts) > 3)
