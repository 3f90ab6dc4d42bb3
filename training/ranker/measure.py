"""How well rankers order the exposed test rows, beside the towers' own scores."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.contract.features import Raw
from export.contract.ranker import Codes, Ranker
from training.embedded import Embedded
from training.figures import mean_over_runs, spread_over_runs
from training.ground import Ground

TOWERS = "towers"
ROWS_AT_ONCE = 128  # more of them leave the cache of a core


def measure_rankers(run: Embedded, rankers: Mapping[str, Ranker], ground: Ground) -> dict[str, Any]:
    """Return AUC and GAUC by slice of the towers' scores and of each ranker; {} without rankers."""
    if not rankers:
        return {}
    found = {TOWERS: ground.orders(run.row_scores(ground.tests))}
    for kind, ranker in rankers.items():
        found[kind] = ground.orders(row_chances(run, ranker, ground.tests))
    return found


def ranked_figures(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return by scorer the `mean` over runs, and the `spread` of several; {} without rankers."""
    shared = [kind for kind in runs[0] if all(kind in one for one in runs)]
    figures = [{kind: one[kind] for kind in shared} for one in runs]
    mean = mean_over_runs(figures)
    if len(runs) == 1:
        return {kind: {"mean": of} for kind, of in mean.items()}
    spread = spread_over_runs(figures)
    return {kind: {"mean": of, "spread": spread[kind]} for kind, of in mean.items()}


def row_chances(run: Embedded, ranker: Ranker, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Score rows as a service would at the end of training, in the context each was shown in."""
    records, place = run.in_context(rows)
    codes = ranker.code(run.records["item"])
    position = {one: at for at, one in enumerate(run.data.items.ids)}
    item = run.data.interactions.item[rows]
    found = np.empty(len(rows), dtype=np.float32)
    order = np.argsort(place, kind="stable")
    side = run.towers.schema.user
    for start in range(0, len(rows), ROWS_AT_ONCE):
        at = order[start : start + ROWS_AT_ONCE]
        users, user = np.unique(place[at], return_inverse=True)
        asked = [records[one] for one in users]
        present = [side.has_preference(record) for record in asked]
        histories = [_met(record.get(ranker.facts.history), position, codes) for record in asked]
        found[at] = ranker.score(asked, present, histories, codes[item[at]], user)
    return found


def _met(history: Raw, position: Mapping[str, int], codes: Codes) -> Codes:
    """Return the codes of the items of a history that there are."""
    ids = history if isinstance(history, list) else []
    return codes[[position[one] for one in ids if one in position]]
