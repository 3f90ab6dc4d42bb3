"""The step `gap`: what ours less a rival is made of, by how often an item was clicked before."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality.case import Case
from benchmarks.quality.final import fit_rival
from benchmarks.quality.known import Fitted, Known
from benchmarks.quality.models import OURS, final_config, train_model
from benchmarks.quality.page import between
from benchmarks.quality.rivals import RIVALS
from export.contract.errors import ConfigError
from training.metrics import hit_at_k, rank
from training.parts import TEST
from training.search import Told
from training.slices import FINE, Bucket

SEED = 1
K = 20
Shares = NDArray[np.float64]


def write_gap(case: Case, place: str, rival: str, page: Path, told: Told) -> None:
    """Measure ours and a rival, as they were selected, and put the table between its marks.

    Raises:
        ConfigError: No such rival or slice, the rival has not been selected, or the page has no
            marks.
    """
    other = next((one for one in RIVALS if one.name == rival), None)
    if other is None:
        names = ", ".join(one.name for one in RIVALS)
        raise ConfigError(f"--than {rival}: expected one of {names}")
    if place not in case.protocol.slices:
        raise ConfigError(f"--place {place}: expected one of {', '.join(case.protocol.slices)}")
    known = Known.of(case, TEST)
    config = final_config(case, OURS, SEED)
    ours = train_model(config, case.runs / f"{OURS}-{SEED}", known, told)[""]
    theirs = fit_rival(case, other, known, SEED)
    text = page.read_text(encoding="utf-8")
    table = gap(known, place, ours, theirs, rival)
    page.write_text(between(text, f"{case.name} gap", table, page), encoding="utf-8")


def gap(known: Known, place: str, ours: Fitted, theirs: Fitted, rival: str) -> str:
    """Return the table: its last column adds up to the difference of both recalls."""
    clicks = np.asarray(known.clicks.sum(axis=0)).ravel()
    (pairs, mine), (_, other) = (_found(known, place, one, clicks) for one in (ours, theirs))
    head = ["clicks of the item", "test pairs", f"{OURS}, recall@{K}", rival, "of the difference"]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for at, one in enumerate(FINE):
        if pairs[at]:
            shares = mine[at] / pairs[at], other[at] / pairs[at]
            cells = [_label(one), f"{pairs[at]:.3f}", *(f"{share:.3f}" for share in shares)]
            lines.append(f"| {' | '.join(cells)} | {mine[at] - other[at]:+.4f} |")
    whole = [f"{one.sum():.4f}" for one in (mine, other)]
    lines.append(f"| all | 1 | {' | '.join(whole)} | {mine.sum() - other.sum():+.4f} |")
    return "\n".join(lines)


def _found(
    known: Known, place: str, scorer: Fitted, clicks: NDArray[np.float32]
) -> tuple[Shares, Shares]:
    """Return each bucket's part of the pairs, and of recall; a user counts 1, whatever they test.

    The parts of recall add up to it.
    """
    if scorer.scores is None:
        raise ConfigError("--than: scores rows, so it has no recall; name another")
    one = known.slices.named(place)
    (ranked,) = rank(scorer.scores, [(one.search, one.relevant)])
    _, user, count = np.unique(ranked.user, return_inverse=True, return_counts=True)
    weight = 1 / (count[user] * len(count))
    hits = hit_at_k(ranked.above, ranked.tied, K)
    inside = [bucket.holds(clicks[ranked.item].astype(np.int64)) for bucket in FINE]
    pairs = np.array([weight[mask].sum() for mask in inside])
    return pairs, np.array([(weight * hits)[mask].sum() for mask in inside])


def _label(bucket: Bucket) -> str:
    return bucket.label.replace(">", "over ")
