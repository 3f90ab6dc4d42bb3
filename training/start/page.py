"""A plan written as a YAML with its reasons as comments."""

import os
from collections.abc import Iterator
from pathlib import Path

from training.commented import flow, group_lines, said
from training.start.plan import Plan
from training.start.tables import Tables


def page(plan: Plan, tables: Tables, out: Path) -> str:
    """Return the text of the YAML that is to lie at `out`."""
    lines = [f"# firstsight train {out} --out runs/{out.stem}", *_data(tables, out)]
    lines += [said(_clicks(plan)), f"split: {flow(plan.split)}  # {plan.split_why}"]
    for side, groups in plan.groups.items():
        lines.append(f"{side}:")
        for group, choices in groups.items():
            lines += group_lines(group, choices)
    return "\n".join([*lines, *_training(plan)]) + "\n"


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
