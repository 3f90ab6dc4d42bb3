"""A plan written as a YAML; what was not carried over stands in its head, by field."""

import os
from collections.abc import Iterator
from pathlib import Path

from export.contract.side import SIDES, SideName
from training.commented import flow, group_lines, said
from training.easyrec.ledger import Entry
from training.easyrec.plan import Plan

TITLES = {"content": None, "preference": "statistics of behaviour, hidden from whoever is new"}


def page(plan: Plan, source: Path, data: Path, out: Path) -> str:
    """Return the text of the YAML that is to lie at `out`, for tables in the folder `data`."""
    folder = os.path.relpath(data.resolve(), out.resolve().parent)
    lines = [
        said(f"firstsight train {out} --out runs/{out.stem}"),
        *_head(plan, source),
        f"data: {flow({'folder': folder})}",
        f"split: {flow(plan.split)}  {said(plan.split_why)}",
    ]
    for side in SIDES:
        lines.append(f"{side}:")
        for group, choices in plan.sides[side].groups.items():
            lines += group_lines(group, choices, TITLES[group])
    return "\n".join([*lines, *_model(plan)]) + "\n"


def _head(plan: Plan, source: Path) -> Iterator[str]:
    mapped, noted = plan.ledger.of("mapped"), plan.ledger.of("noted")
    yield said(f"From {source.name}, a {plan.model} of EasyRec: {len(mapped)} fields are mapped.")
    yield said("Its flat samples are three tables here; columns of theirs are in parentheses:")
    for name, columns in tables_of(plan).items():
        told = ", ".join(
            ours if theirs in ("", ours) else f"{ours} ({theirs})"
            for ours, theirs in columns.items()
        )
        yield f"#   {name}: {' '.join(told.split())}"
    if noted:
        yield said("Not carried over:")
    for (place, says), entries in _together(noted).items():
        times = f", {len(entries)} times" if len(entries) > 1 else ""
        yield f"#   {place} (line {entries[0].line}{times}): {' '.join(says.split())}"


def tables_of(plan: Plan) -> dict[str, dict[str, str]]:
    """Return the columns of our tables, each with the columns of the samples it is made of."""
    dataset = plan.dataset
    ids = {f"{side}_id": plan.sides[side].id for side in SIDES}
    rows = {**ids, "label": dataset.label}
    rows |= {"weight": dataset.weight} if dataset.weight else {}
    rows |= {"timestamp": ""} if dataset.has_time else {}
    tables = {"interactions": rows}
    for side in SIDES:
        made = _made(plan, side)
        carried = plan.sides[side].given("preference")
        rows |= {name: made[name] for name in carried}
        tables[f"{side}s"] = {f"{side}_id": ids[f"{side}_id"], **made}
    return tables


def _made(plan: Plan, side: SideName) -> dict[str, str]:
    return {name: str(c) for name, c in plan.sides[side].columns.items()}


def _together(entries: list[Entry]) -> dict[tuple[str, str], list[Entry]]:
    """Return entries of one place and one reason together."""
    found: dict[tuple[str, str], list[Entry]] = {}
    for entry in entries:
        found.setdefault((entry.place, entry.says), []).append(entry)
    return found


def _model(plan: Plan) -> Iterator[str]:
    objective = plan.objective
    if objective.similarity != "cosine":
        yield f"similarity: {objective.similarity}"
    user, item = plan.towers["user"], plan.towers["item"]
    if user == item:
        yield f"tower: {flow(user)}"
    else:
        yield f"user_tower: {flow(user)}"
        yield f"item_tower: {flow(item)}"
    for name, members in (("losses", objective.losses), ("negatives", objective.negatives)):
        yield f"{name}:"
        for options, why in members:
            yield f"  - {flow(options)}" + (f"  {said(why)}" if why else "")
    yield f"dropout: {flow(plan.dropout)}  {said(plan.dropout_why)}"
    yield f"training: {flow(plan.training)}  {said(f'epochs: {plan.epochs_why}')}"
