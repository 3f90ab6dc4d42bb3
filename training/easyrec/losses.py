"""What a model is trained on: its losses, candidates and similarity, each with a reason."""

from dataclasses import dataclass, field
from typing import Any

from training.easyrec.dataset import Dataset
from training.easyrec.section import Section

Options = dict[str, Any]
FLAT = "a bare cosine: its loss has a floor; {ours} is ours"
MIMIC_WEIGHT = 0.5
HARD_FILE = "hard_negatives.csv"
LOSS_TYPES = {
    "CLASSIFICATION": "pointwise",
    "PAIR_WISE_LOSS": "pairwise",
    "SOFTMAX_CROSS_ENTROPY_WITH_NEGATIVE_MINING": "sv_softmax",
}


@dataclass
class Objective:
    """Losses and negatives in order, each with why it is so."""

    similarity: str = "cosine"
    losses: list[tuple[Options, str]] = field(default_factory=list)
    negatives: list[tuple[Options, str]] = field(default_factory=list)


def dropoutnet_objective(model: Section, own: Section, dataset: Dataset) -> Objective:
    """Return the losses of `model_config.losses`, which DropoutNet reads, at EasyRec's values."""
    found = Objective()
    model.note("loss_type", "DropoutNet reads losses only, in EasyRec as here")
    model.one_of("loss_weight_strategy", "weight", "Fixed", ("Fixed",), "weights are fixed here")
    rolled = _rolled(own)
    for loss in model.sections("losses", "Loss"):
        _no_other_parameters(loss)
        kind = loss.one_of("loss_type", "kind", "CLASSIFICATION", LOSS_TYPES, NOT_READ)
        weight = loss.number("weight", "weight", 1.0)
        if loss.flag("learn_loss_weight", "weight"):
            loss.refuse("learn_loss_weight", "weights are fixed here: remove it")
        if weight > 0:
            found.losses.append(_dropoutnet_loss(LOSS_TYPES[kind], weight, rolled))
        else:
            loss.note_all("its weight is 0")
        if kind.endswith("MINING") and rolled is None:
            own.lacks("softmax_loss", f"{kind} reads num_negative_samples from it")
    if not found.losses:
        model.lacks("losses", "without it EasyRec trains the regulariser only; " + WRITE_A_LOSS)
    if any(loss["kind"] == "sv_softmax" for loss, _ in found.losses) and rolled is not None:
        options = {"kind": "roll", "n": rolled["n"], "exposures": True}
        found.negatives = [(options, "items of other rows of the batch, clicked or not")]
    else:
        found.negatives = [({"kind": "in_batch"}, "asked for, though these losses draw none")]
    if dataset.sampler is not None:
        dataset.sampler.refuse_all("DropoutNet draws within the batch: remove it")
    return found


NOT_READ = "DropoutNet passes it over in EasyRec: remove it, or say one of " + ", ".join(LOSS_TYPES)
WRITE_A_LOSS = "write losses { loss_type: CLASSIFICATION }"


def _no_other_parameters(loss: Section) -> None:
    for name in ("softmax_loss", "pairwise_loss", "loss_name"):
        loss.note(name, "DropoutNet does not read it in EasyRec; dropoutnet.softmax_loss counts")


def _rolled(own: Section) -> Options | None:
    section = own.section("softmax_loss", "SoftmaxLoss")
    if section is None:
        return None
    found = {
        "n": section.whole("num_negative_samples", "negatives.roll.n", 4),
        "margin": section.number("margin", "sv_softmax.margin", 0.0),
        "gamma": section.number("gamma", "sv_softmax.gamma", 1.0),
        "t": section.number("coefficient_of_support_vector", "sv_softmax.t", 1.0),
    }
    least = (("margin", 0.0, "margin"), ("coefficient_of_support_vector", 1.0, "t"))
    for name, bound, ours in least:
        if found[ours] < bound:
            section.refuse(name, f"expected at least {bound:g}")
    return found


def _dropoutnet_loss(kind: str, weight: float, rolled: Options | None) -> tuple[Options, str]:
    own: dict[str, tuple[Options, str]] = {
        "pointwise": (
            {"scale": 1, "bias": 0, "learned": False},
            FLAT.format(ours="scale: 10, learned: true"),
        ),
        "pairwise": (
            {"temperature": 1, "margin": 0, "session": "batch"},
            FLAT.format(ours="temperature: 0.1, session: user_id"),
        ),
        "sv_softmax": (
            {key: (rolled or {}).get(key, 1) for key in ("margin", "t", "gamma")}
            | {"mask_accidental_hits": False, "mask_known_positives": False},
            "EasyRec masks no false negatives; at gamma 1 the loss has a floor of .43, ours is 15",
        ),
    }
    options, why = own[kind]
    return {"kind": kind, **options, **({} if weight == 1 else {"weight": weight})}, why


def match_objective(kind: str, model: Section, own: Section, dataset: Dataset) -> Objective:
    """Return the loss of DSSM, DSSM_SENet and DAT: of single rows, or over a batch."""
    found = Objective()
    model.refuse("losses", f"{kind} reads loss_type: say that")
    model.one_of("loss_weight_strategy", "weight", "Fixed", ("Fixed",), "weights are fixed here")
    if model.whole("num_class", "0 or 1", 1) != 1:
        model.refuse("num_class", "a label is 0 or 1: say 1")
    simi = own.one_of(
        "simi_func", "similarity", "COSINE", ("COSINE", "INNER_PRODUCT"), "EasyRec builds none"
    )
    found.similarity = "inner_product" if simi == "INNER_PRODUCT" else "cosine"
    if found.similarity == "inner_product":
        own.note("temperature", "EasyRec divides cosines only")
    temperature = own.number("temperature", "temperature", 1.0)
    if found.similarity == "inner_product" or temperature <= 0:
        temperature = 1.0
    listed = kind == "DAT"
    known = ("SOFTMAX_CROSS_ENTROPY",) if listed else ("CLASSIFICATION", "SOFTMAX_CROSS_ENTROPY")
    loss = model.one_of("loss_type", "losses", known[0], known, f"expected {' or '.join(known)}")
    if listed and not model.has("loss_type"):
        model.lacks("loss_type", "DAT trains by SOFTMAX_CROSS_ENTROPY only, which is no default")
    is_learned = False if listed else own.flag("scale_simi", "learned scale and bias", True)
    if loss == "CLASSIFICATION":
        _single_rows(found, own, dataset, 1 / temperature, is_learned)
    else:
        _over_batch(found, own, dataset, temperature)
    if kind == "DAT":
        mimic = {
            "kind": "mimic",
            "user": own.number("amm_u_weight", "mimic.user", MIMIC_WEIGHT),
            "item": own.number("amm_i_weight", "mimic.item", MIMIC_WEIGHT),
            "unit": False,
        }
        found.losses.append((mimic, "they follow the other side's; unit: true is ours"))
    return found


def _single_rows(
    found: Objective, own: Section, dataset: Dataset, scale: float, is_learned: bool
) -> None:
    options = {"kind": "pointwise", "scale": scale, "bias": 0, "learned": is_learned}
    found.losses = [(options, "single rows, clicked or not")]
    found.negatives = [({"kind": "in_batch"}, "asked for, though this loss draws none")]
    own.note("ignore_in_batch_neg_sam", "a loss of single rows has no negatives in the batch")
    own.note("item_id", "a loss of single rows has no negatives in the batch")
    if dataset.sampler is not None:
        dataset.sampler.refuse_all("loss_type CLASSIFICATION draws no negatives: remove it")


def _over_batch(found: Objective, own: Section, dataset: Dataset, temperature: float) -> None:
    masks = bool(own.text("item_id", "mask_accidental_hits"))
    only_sampled = own.flag("ignore_in_batch_neg_sam", "negatives without in_batch")
    own.note("scale_simi", "temperature is the one scale of this loss")
    found.negatives = [] if only_sampled else [({"kind": "in_batch"}, "")]
    found.negatives += _sampled(dataset.sampler)
    if not found.negatives:
        own.refuse("ignore_in_batch_neg_sam", "no candidates are left: add a sampler, or say false")
    edges = dataset.sampler is not None and dataset.sampler.has("pos_edge_input_path")
    options = {
        "kind": "in_batch_softmax",
        "temperature": temperature,
        "logq": "off",
        "mask_accidental_hits": masks,
        "mask_known_positives": edges,
    }
    why = "every row of label 1 against its candidates; logq: classic and both masks are ours"
    found.losses = [(options, why)]


def _sampled(sampler: Section | None) -> list[tuple[Options, str]]:
    if sampler is None:
        return []
    n = sampler.whole("num_sample", "negatives.mixed.n", 1)
    found: list[tuple[Options, str]] = [
        ({"kind": "mixed", "n": n}, "items of the catalogue, each as likely as any other")
    ]
    if sampler.has("num_hard_sample"):
        hard = sampler.whole("num_hard_sample", "negatives.given.n", 1)
        to = f"negatives.given.file: write its user and item ids into {HARD_FILE}"
        sampler.text("hard_neg_edge_input_path", to)
        why = f"the hard edges: write their user_id and item_id into {HARD_FILE}"
        found.append(({"kind": "given", "file": HARD_FILE, "n": hard}, why))
    return found
