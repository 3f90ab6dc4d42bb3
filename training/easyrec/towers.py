"""The networks of a model as towers of ours; what the towers are called stands in `KINDS`."""

from dataclasses import dataclass
from typing import Any

from export.contract.side import SIDES, SideName
from training.easyrec.section import Section

Options = dict[str, Any]
KINDS = {"DropoutNet": "dropoutnet", "DSSM": "mlp", "DSSM_SENet": "senet", "DAT": "dat"}
FIELDS = {"DropoutNet": "dropoutnet", "DSSM": "dssm", "DSSM_SENet": "dssm_senet", "DAT": "dat"}
RELU = "relu"
ACTIVATIONS = {  # EasyRec takes its own names in any case, and the path of any function
    RELU: ("tf.nn.relu", "tf.keras.activations.relu"),
    "tanh": ("tf.nn.tanh", "tf.tanh", "tf.math.tanh", "tf.keras.activations.tanh"),
}


@dataclass(frozen=True)
class Network:
    """The layers of one DNN: sizes, and what stands between them."""

    sizes: tuple[int, ...] = ()
    batch_norm: bool = True
    activation: str = RELU
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
    return found | {
        "batch_norm": network.batch_norm,
        **_unusual(network.activation, network.dropout),
    }


def _dropoutnet(side: SideName, section: Section) -> Options:
    content = _network(section, f"{side}_content", "content")
    preference = _network(section, f"{side}_preference", "preference")
    tower = _network(section, f"{side}_tower", "hidden, the last is dim")
    named = {
        f"{side}_content": (content, content.sizes),
        f"{side}_preference": (preference, preference.sizes),
        f"{side}_tower": (tower, tower.sizes[:-1]),  # the last layer is linear
    }
    given = {name: network for name, (network, _) in named.items() if section.has(name)}
    active = {name: network for name, (network, hidden) in named.items() if hidden}
    _agree(section, {n: one.dropout for n, one in given.items() if one.sizes}, "dropout_ratio")
    _agree(section, {name: network.activation for name, network in active.items()}, "activation")
    inner = [network.batch_norm for name, network in given.items() if not name.endswith("_tower")]
    if len(set(inner)) > 1:
        section.refuse(
            f"{side}_preference", f"its use_bn is not that of {side}_content: give both the same"
        )
    batch_norm = inner[0] if inner else tower.batch_norm
    activation = next((network.activation for network in active.values()), RELU)
    return {
        "kind": KINDS["DropoutNet"],
        **_ends(section.section(f"{side}_tower", "DNN") or section, tower),
        "content": list(content.sizes),
        "preference": list(preference.sizes),
        "batch_norm": batch_norm,
        **({} if tower.batch_norm == batch_norm else {"tower_batch_norm": tower.batch_norm}),
        **_unusual(activation, tower.dropout),
    }


def _agree(section: Section, found: dict[str, Any], field: str) -> None:
    """Refuse the networks of a side whose value of a field is not that of the first."""
    for name, value in found.items():
        one = section.section(name, "DNN")
        first = next(iter(found))
        if one is not None and value != found[first]:
            one.refuse_all(
                f"its {field} ({value}) is not that of {first} ({found[first]}): one a side"
            )


def _ends(section: Section, network: Network) -> Options:
    """Return the length of the vectors, and the layers before it."""
    if not network.sizes:
        section.lacks("hidden_units", "the last one is the length of the vectors")
        return {}
    return {"dim": network.sizes[-1], "hidden": list(network.sizes[:-1])}


def _unusual(activation: str, dropout: float) -> Options:
    """Return the options of a tower's layers that are not what they are by default."""
    usual = {"activation": RELU, "dropout": 0.0}
    found: Options = {"activation": activation, "dropout": dropout}
    return {name: value for name, value in found.items() if value != usual[name]}


def _network(section: Section, name: str, to: str) -> Network:
    """Read a DNN; one without it passes on what comes in."""
    found = section.section(name, "DNN")
    if found is None:
        return Network()
    sizes = [size for size in found.wholes("hidden_units", to) if size]
    rates = found.numbers("dropout_ratio", "dropout")
    if len(set(rates)) > 1:
        found.refuse("dropout_ratio", "all layers of a side have one rate: give each the same")
    activation = _activation(found)
    batch_norm = found.flag("use_bn", "batch_norm", True)
    return Network(tuple(sizes), batch_norm, activation, rates[0] if rates else 0.0)


def _activation(found: Section) -> str:
    """Return the name that an activation has here."""
    text = found.text("activation", "activation", RELU).strip()
    path = text.replace("tensorflow.", "tf.", 1)
    for name, paths in ACTIVATIONS.items():
        if text.lower() == name or path in paths:
            return name
    found.refuse("activation", f"the layers have {' or '.join(ACTIVATIONS)}: say one of them")
    return RELU
