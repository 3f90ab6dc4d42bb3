"""The takeover: a new model begins with what a finished run learned, and says what that is."""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from export.contract.features import UNKNOWN_ROW
from export.contract.side import SIDES
from training.config import TrainConfig
from training.growing.kinship import Reasons
from training.growing.parent import Parent
from training.growing.pieces import Piece
from training.model import TwoTower

Pieces = Mapping[tuple[str, str], Piece]


@torch.no_grad()
def take_over(model: TwoTower, config: TrainConfig, parent: Parent) -> list[str]:
    """Put what the parent learned in place of what a new model begins with; say what that is.

    Rows of tables go over for words, the rest by the name of the parameter and the feature it is
    of. What the losses learn goes over by their kind, unless it is fixed here.
    """
    source = TwoTower(parent.config, parent.schema)
    source.load_state_dict(parent.weights)
    kin = parent.kin
    going = [table for table, why in kin.tables.items() if not why]
    tables = [f"{table} ({_grow(model.table(table), source, table)})" for table in going]
    afresh = {f"table {table}": why for table, why in kin.tables.items()} | kin.features
    for side in SIDES:
        reasons = {name.removeprefix(f"{side}."): why for name, why in kin.features.items()}
        found = _copy(model.side(side).pieces(), source.side(side).pieces(), reasons)
        afresh |= {f"{side} tower's {name}": why for name, why in found}
    afresh |= dict(_copy(_of_losses(model, config), _of_losses(source, parent.config), {}))
    if config.ranker is not None:
        afresh["ranker"] = "a ranker always does"
    said = {
        "tables go on": tables,
        "features go on": [feature for feature, why in kin.features.items() if not why],
        "begin afresh": [f"{name} ({why})" for name, why in afresh.items() if why],
        "left behind": parent.left_behind(config),
    }
    return [
        f"from {parent.name}: {what}: {', '.join(names) or 'none'}" for what, names in said.items()
    ]


def _grow(own: Tensor, source: TwoTower, table: str) -> str:
    """Put the known rows where they were; a new word begins as an unknown one was.

    So before the first step the model gives the vectors that the parent would have given. Measured
    against rows that begin afresh: `docs/growing.md`.
    """
    known = source.table(table)
    own[: len(known)] = known
    own[len(known) :] = _unknown(source, known)
    return f"{len(known)} rows, {len(own) - len(known)} new"


def _unknown(source: TwoTower, table: Tensor) -> Tensor:
    """Return what a word that a table does not hold counts as: of an augmented id the default."""
    for side in SIDES:
        augmented = source.side(side).augmented
        if augmented is not None and augmented.table.weight is table:
            return augmented.default
    return table[UNKNOWN_ROW]


def _copy(own: Pieces, there: Pieces, reasons: Reasons) -> Iterator[tuple[str, str]]:
    """Copy every piece that is there and may go on; give the others, and why they do not.

    A piece of a single feature that begins afresh is not given: the feature is told of.
    """
    for (name, feature), piece in own.items():
        members = feature.strip("()").split(", ")
        if any(reasons.get(one) for one in members):
            if len(members) > 1:
                yield name, "its features are others there"
            continue
        known = there.get((name, feature))
        whole = f"{name} of {feature}" if reasons.get(feature) == "" else name
        if known is None:
            yield whole, "absent there" if len(members) == 1 else "its features are others there"
        elif known.values.shape != piece.values.shape:
            yield whole, f"shape {list(known.values.shape)} there"
        else:
            piece.values.copy_(known.values)


def _of_losses(model: TwoTower, config: TrainConfig) -> Pieces:
    """Return what the losses learn, by their kinds; one that stands twice by its turn too."""
    found, kinds = {}, [one.kind for one in config.losses]
    for place, (kind, module) in enumerate(zip(kinds, model.losses, strict=True)):
        turn = kinds[:place].count(kind)
        for name, values in module.named_parameters():
            if values.requires_grad:
                found[f"losses.{kind}{f'.{turn}' * bool(turn)}.{name}", ""] = Piece("", values)
    return found
