"""A plan written as a YAML with its reasons as comments."""

import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from training.start.kinds import Choice
from training.start.plan import Plan
from training.start.tables import Tables

PLAIN = re.compile(r"[A-Za-z_][\w./-]*")
SPECIAL = {"true", "false", "null", "yes", "no", "on", "off"}
GROUPS = {
    "content": "known beforehand; what a new one is placed by",
    "context": "given with the request",
    "preference": "statistics of behaviour, hidden from whoever is new; taken from the log",
}


def page(plan: Plan, tables: Tables, out: Path) -> str:
    """Return the text of the YAML that is to lie at `out`."""
    lines = [f"# firstsight train {out} --out runs/{out.stem}", *_data(tables, out)]
    lines += [_said(_clicks(plan)), f"split: {flow(plan.split)}  # {plan.split_why}"]
    for side, groups in plan.groups.items():
        lines.append(f"{side}:")
        for group, choices in groups.items():
            lines += _group(group, choices)
    return "\n".join([*lines, *_training(plan)]) + "\n"


def flow(value: Any) -> str:
    """Write a value in one line of YAML."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{flow(key)}: {flow(one)}" for key, one in value.items()) + "}"
    if isinstance(value, str):
        plain = PLAIN.fullmatch(value) and value.lower() not in SPECIAL
        return value if plain or re.fullmatch(r"[0-9]+[dhms]", value) else json.dumps(value)
    return json.dumps(value)


def _data(tables: Tables, out: Path) -> list[str]:
    folder = os.path.relpath(tables.folder.resolve(), out.resolve().parent)
    files = {
        name: getattr(tables, name).path.name
        for name in ("interactions", "users", "items")
        if getattr(tables, name).path.suffix != ".parquet"
    }
    return [f"data: {flow({'folder': folder, **files})}"]


def _clicks(plan: Plan) -> str:
    if plan.has_exposures:
        return f"{plan.clicks} clicks; rows of label 0 were shown and not clicked"
    return f"{plan.clicks} clicks; no row of label 0, so every row counts as a click"


def _group(group: str, choices: Mapping[str, Choice]) -> Iterator[str]:
    kept = {name: one for name, one in choices.items() if one.kind is not None}
    if kept:
        yield f"  {group}:  # {GROUPS[group]}"
    for name, choice in kept.items():
        yield f"    {flow(name)}: {flow(choice.options)}  # {_said(choice.why)[2:]}"
    for name, choice in choices.items():
        if choice.kind is None:
            yield _said(f"{group}, left out: {name!r}: {choice.why}", "    ")


def _said(text: str, indent: str = "") -> str:
    """Write a comment; what came from data cannot end its line."""
    return f"{indent}# {' '.join(text.split())}"


def _training(plan: Plan) -> Iterator[str]:
    sizes = plan.sizes
    dropout = {
        "user": 0.3 if plan.is_described("user") else 0.1,
        "item": 0.7 if plan.is_described("item") else 0.1,
    }
    loss = {"kind": "in_batch_softmax", "temperature": 0.25, "logq": "classic"}
    training = {
        "epochs": sizes.epochs,
        "batch": sizes.batch,
        "seed": 1,
        "learning_rate": sizes.learning_rate,
    }
    yield f"tower: {flow({'kind': 'additive', 'dim': sizes.dim})}"
    yield f"losses: [{flow(loss)}]"
    yield "negatives: [{kind: in_batch}]"
    yield f"dropout: {flow(dropout)}  # shares whose preference training hides, as if they were new"
    yield f"training: {flow(training)}"
