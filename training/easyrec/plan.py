"""All that a file becomes, before it is written: features, towers, losses, training, tables."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from export.contract.errors import ConfigError
from export.contract.side import SIDES, SideName
from training.easyrec.dataset import Dataset, own_ids, read_dataset
from training.easyrec.features import OWN_ID, read_features, with_learned_ids
from training.easyrec.fields import finish
from training.easyrec.groups import SideGroups, most_common_dim, place_features
from training.easyrec.ledger import Ledger
from training.easyrec.losses import Objective, dropoutnet_objective, match_objective
from training.easyrec.schedule import schedule_of
from training.easyrec.section import Section
from training.easyrec.text import read_text
from training.easyrec.towers import FIELDS, id_of, towers_of

Options = dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """What is written; a reason stands beside what may be asked about.

    `root` is the file as it was read, whose ledger holds what became of every field. Where some
    are refused the rest is not to be used.
    """

    model: str
    sides: dict[SideName, SideGroups]
    towers: dict[SideName, Options]
    objective: Objective
    dropout: Options
    dropout_why: str
    training: Options
    epochs_why: str
    split: Options
    split_why: str
    dataset: Dataset
    root: Section

    @property
    def ledger(self) -> Ledger:
        """What became of every field."""
        return self.root.ledger


def make_plan(path: Path, said_ids: dict[SideName, str | None], rows: int | None = None) -> Plan:
    """Read a file and decide what it becomes.

    Args:
        path: The file.
        said_ids: The columns of the ids, where the user names them.
        rows: How many samples there are, where that is known.

    Raises:
        ConfigError: It cannot be read, it is none of the four models, or nothing says which
            columns are the ids. Fields that are refused stand in the ledger.

    """
    root = Section(read_text(path), "EasyRecConfig", "", Ledger())
    model, kind, own = _model(root, path)
    dataset = read_dataset(root, path)
    towers = towers_of(kind, own)
    named: dict[SideName, str] = {s: "" if kind == "DropoutNet" else id_of(s, own) for s in SIDES}
    ids = own_ids(said_ids, named, dataset, path)
    features = with_learned_ids(read_features(root, dataset.columns), ids.values())
    sides = place_features(model, kind, features, ids)
    _check_augmented(kind, model, sides, towers)
    objective = _objective(kind, model, own, dataset)
    dropout = _dropout(kind, own)
    training = schedule_of(root, dataset, rows)
    split = _split(dataset, sides)
    root.section("eval_config", "EvalConfig")
    finish(root)
    width = most_common_dim(sides)
    for tower in towers.values():
        tower |= {} if width is None else {"embedding": width}
    return Plan(kind, sides, towers, objective, *dropout, *training, *split, dataset, root)


def _objective(kind: str, model: Section, own: Section, dataset: Dataset) -> Objective:
    if kind == "DropoutNet":
        return dropoutnet_objective(model, own, dataset)
    return match_objective(kind, model, own, dataset)


def _model(root: Section, path: Path) -> tuple[Section, str, Section]:
    """Return `model_config`, the model's class, and the message of its own.

    Raises:
        ConfigError: It is none of the four, so that nothing of it can be told.

    """
    model = root.section("model_config", "EasyRecModel")
    if model is None:
        raise ConfigError(f"{path}: no model_config; expected EasyRec's configuration of a model")
    kind = model.text("model_class", "the tower")
    if kind not in FIELDS:
        known = ", ".join(FIELDS)
        raise ConfigError(
            f"{path}: model_config.model_class: got {kind!r}, expected one of {known}: two towers, "
            "each of which sees one side only"
        )
    own = model.section(FIELDS[kind], "DropoutNet" if kind == "DropoutNet" else "DSSM")
    if own is None:
        raise ConfigError(f"{path}: model_config: no {FIELDS[kind]}, which holds the towers")
    return model, kind, own


def _check_augmented(
    kind: str, model: Section, sides: dict[SideName, SideGroups], towers: dict[SideName, Options]
) -> None:
    """Refuse a DAT whose ids are not as wide as its vectors, which they are to follow."""
    for side in SIDES if kind == "DAT" else ():
        own = sides[side].groups["preference"].get(OWN_ID)
        if own is None:
            model.lacks("feature_groups", f"{side}_id_augment has to hold {sides[side].id!r}")
        elif own.options.get("dim") != towers[side].get("dim"):
            model.lacks(
                f"fitting embedding_dim of {sides[side].id!r}",
                f"give it {towers[side].get('dim')}, the last of hidden_units",
            )


def _dropout(kind: str, own: Section) -> tuple[Options, str]:
    if kind != "DropoutNet":
        why = f"ours: {kind} hides nothing in training, so nothing of it is meant for new ids"
        return {"user": 0.3, "item": 0.5, "column": 0}, why
    rates = {
        "user": own.number("user_dropout_rate", "dropout.user", 0.0),
        "item": own.number("item_dropout_rate", "dropout.item", 0.5),
        "column": 0,
    }
    for side in SIDES:
        if not 0 <= rates[side] <= 1:
            own.refuse(f"{side}_dropout_rate", "expected a share of 0 to 1")
    off = [side for side in SIDES if not rates[side]]
    why = f"at 0 no {off[0]} is meant to be new: .3 is ours" if off else "shares of each batch"
    return rates, why


def _split(dataset: Dataset, sides: dict[SideName, SideGroups]) -> tuple[Options, str]:
    """Return a split of ours: EasyRec is given test rows, and holds nobody out."""
    kind = "by_time" if dataset.has_time else "held_out_ids"
    why = "the latest rows test" if dataset.has_time else "no column timestamp: pairs are drawn"
    split: Options = {"kind": kind}
    hidden = {}
    for side in SIDES:
        split[f"cold_{side}s"] = 0.15 if sides[side].is_described else 0
        if not sides[side].is_described:
            why += f"; no {side} is held out, for nothing tells new ones apart"
            hidden[f"{side}s"] = 0
    return split | ({"validation": hidden} if hidden else {}), why
