"""The networks of a model as towers of ours; what the towers are called stands in `KINDS`."""

from dataclasses import dataclass
from typing import Any

from export.contract.side import SIDES, SideName
from training.easyrec.section import Section

Options = dict[str, Any]
KINDS = {"DropoutNet": "dropoutnet", "DSSM": "mlp", "DSSM_SENet": "senet", "DAT": "dat"}
FIELDS = {"DropoutNet": "dropoutnet", "DSSM": "dssm", "DSSM_SENet": "dssm_senet", "DAT": "dat"}
RELU = ("tf.nn.relu", "relu")


@dataclass(frozen=True)
class Network:
    """The layers of one DNN: sizes, and what stands between them."""

    sizes: tuple[int, ...] = ()
    batch_norm: bool = True
    dropout: float = 0.0


def towers_of(model: str, section: Section) -> dict[SideName, Options]:
    """Return the tower of each side, but for the width of features' vectors."""
    if model == "DropoutNet":
        return {side: _dropoutnet(side, section) for side in SIDES}
    return {side: _single(side, model, section) for side in SIDES}


def id_of(side: SideName, section: Section) -> str:
    """Return the column that a tower calls its id, "" if it names none."""
    tower = section.section(f"{side}_tower", "Tower")
    return "" if tower is None else tower.text("id", f"the {side}'s id")


def _single(side: SideName, model: str, section: Section) -> Options:
    """Return the tower of a model with one network a side, with squeeze and excite before it."""
    tower = section.section(f"{side}_tower", "Tower")
    if tower is None:
        section.lacks(f"{side}_tower", "write its dnn and hidden_units")
        return {}
    network = _network(tower, "dnn", "hidden, the last is dim")
    found: Options = {"kind": KINDS[model], **_ends(tower, network)}
    if (squeeze := tower.section("senet", "SENet")) is not None:
        found["groups"] = squeeze.whole("num_squeeze_group", "groups", 2)
        found["reduction"] = squeeze.whole("reduction_ratio", "reduction", 4)
    return found | {"batch_norm": network.batch_norm, **_dropped(network)}


def _dropoutnet(side: SideName, section: Section) -> Options:
    content = _network(section, f"{side}_content", "content")
    preference = _network(section, f"{side}_preference", "preference")
    tower = _network(section, f"{side}_tower", "hidden, the last is dim")
    given = [
        (name, network)
        for name, network in (
            (f"{side}_content", content),
            (f"{side}_preference", preference),
            (f"{side}_tower", tower),
        )
        if section.has(name)
    ]
    for name, network in given[1:]:
        if network.dropout != given[0][1].dropout:
            one = section.section(name, "DNN")
            if one is not None:
                one.refuse_all(f"its dropout_ratio is not that of {given[0][0]}: one rate a side")
    inner = [network.batch_norm for name, network in given if not name.endswith("_tower")]
    if len(set(inner)) > 1:
        section.refuse(
            f"{side}_preference", f"its use_bn is not that of {side}_content: give both the same"
        )
    batch_norm = inner[0] if inner else tower.batch_norm
    return {
        "kind": KINDS["DropoutNet"],
        **_ends(section.section(f"{side}_tower", "DNN") or section, tower),
        "content": list(content.sizes),
        "preference": list(preference.sizes),
        "batch_norm": batch_norm,
        **({} if tower.batch_norm == batch_norm else {"tower_batch_norm": tower.batch_norm}),
        **_dropped(tower),
    }


def _ends(section: Section, network: Network) -> Options:
    """Return the length of the vectors, and the layers before it."""
    if not network.sizes:
        section.lacks("hidden_units", "the last one is the length of the vectors")
        return {}
    return {"dim": network.sizes[-1], "hidden": list(network.sizes[:-1])}


def _dropped(network: Network) -> Options:
    return {"dropout": network.dropout} if network.dropout else {}


def _network(section: Section, name: str, to: str) -> Network:
    """Read a DNN; one without it passes on what comes in."""
    found = section.section(name, "DNN")
    if found is None:
        return Network()
    sizes = [size for size in found.wholes("hidden_units", to) if size]
    rates = found.numbers("dropout_ratio", "dropout")
    if len(set(rates)) > 1:
        found.refuse("dropout_ratio", "all layers of a side have one rate: give each the same")
    found.one_of("activation", "ReLU", RELU[0], RELU, "the layers are ReLU: say relu, or remove it")
    batch_norm = found.flag("use_bn", "batch_norm", True)
    return Network(tuple(sizes), batch_norm, rates[0] if rates else 0.0)
