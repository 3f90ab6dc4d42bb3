"""The programs of a ranker become ONNX files, and parity of the two is proven."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch.export import load

from export.catalogue import RankerParts
from export.contract.encoder import build_encoder
from export.contract.errors import BundleError
from export.contract.ranker import Codes, Ranker, RankerFacts, Run, read_facts, without_history
from export.contract.run import RankerLayout, RunLayout
from export.contract.schema import Schema
from export.contract.session import open_session
from export.contract.side import Arrays, Record, SideName
from export.graph import Ends
from export.onnx import BATCHES, TOLERANCE, convert_program, encoded, in_context
from export.ranker import CODE, SCORE

MOST_ROWS = 2_000


def convert_ranker(layout: RunLayout, schema: Schema) -> RankerParts | None:
    """Return the files of a run's ranker; None where it has none.

    Raises:
        BundleError: A program does not fit the schema.
    """
    ranker = layout.ranker
    if not ranker.facts.is_file():
        return None
    facts = read_facts(ranker.facts, schema)
    users = without_history(schema, facts.history)
    code = Ends(CODE, ("batch", facts.width))
    score = Ends(SCORE, ("candidates",), tuple(facts.inputs))
    item_encoder = onnx.load(layout.encoder("item"))
    return RankerParts(
        facts,
        convert_program(ranker.code, item_encoder, schema, "item", code),
        convert_program(ranker.score, build_encoder(users, "user"), users, "user", score),
    )


def program_ranker(layout: RankerLayout, schema: Schema, facts: RankerFacts) -> Ranker:
    """Return the ranker that a run's programs are, behind the encoder graphs."""
    users = without_history(schema, facts.history)
    return Ranker(
        schema,
        facts,
        _program(layout.code, schema, "item", ()),
        _program(layout.score, users, "user", tuple(one.name for one in facts.inputs)),
    )


def _program(path: Path, schema: Schema, side: SideName, beside: Sequence[str]) -> Run:
    encoder = open_session(build_encoder(schema, side).SerializeToString())
    module = load(path).module()
    names = schema.side(side).encoded

    @torch.no_grad()
    def run(arrays: Arrays) -> NDArray[np.float32]:
        inputs = encoded(encoder, arrays, names)
        inputs |= {name: torch.from_numpy(arrays[name]) for name in beside}
        found: NDArray[np.float32] = module(inputs).numpy()
        return found

    return run


def prove_ranker(
    layout: RankerLayout,
    schema: Schema,
    files: RankerParts,
    users: Sequence[Record],
    items: Sequence[Record],
) -> dict[str, Any]:
    """Compare torch and onnxruntime over real users and items, as they are and as if cold.

    Items are coded, and users scored, in turn in batches of 1, 7 and 64; the histories of a batch
    are of all lengths, from none to all that counts, and each user has one to five candidates.

    Returns:
        Rows compared by state and batch size, and the largest absolute difference.

    Raises:
        BundleError: A difference is above 1e-5, or a number is not finite.
    """
    expected, got = program_ranker(layout, schema, files.facts), files.open(schema)
    users = [{}, *in_context(users[:MOST_ROWS], schema, "user")]
    items = [{}, *items[:MOST_ROWS]]
    codes = expected.code(items)
    counts: dict[str, int] = {}
    worst = 0.0
    for is_warm in (True, False):
        for size in BATCHES:
            state = f"{'warm' if is_warm else 'cold'}, batch {size}"
            off, rows = _compare(expected, got, (users, items), codes, schema, size, is_warm)
            if not off <= TOLERANCE:  # also where it is NaN
                raise BundleError(
                    f"ranker, {state}: torch and onnxruntime differ by {off:.2g} "
                    f"(allowed {TOLERANCE})"
                )
            worst, counts[state] = max(worst, off), rows
    return {"rows": counts, "max_abs_difference": worst, "tolerance": TOLERANCE}


def _compare(
    expected: Ranker,
    got: Ranker,
    records: tuple[Sequence[Record], Sequence[Record]],
    codes: Codes,
    schema: Schema,
    size: int,
    is_warm: bool,
) -> tuple[float, int]:
    """Return the largest difference over some batches of a size, and the rows compared."""
    users, items = records
    rng = np.random.default_rng(size)
    worst, rows = 0.0, 0
    for start in range(0, min(len(users), 8 * size), size):
        part = users[start : start + size]
        chosen = rng.integers(len(items), size=size)
        shown = [is_warm and schema.item.has_preference(items[row]) for row in chosen]
        picked = [items[row] for row in chosen]
        worst = max(worst, _off(expected.code(picked, shown), got.code(picked, shown)))
        present = [is_warm] * len(part)
        histories = [
            codes[rng.integers(len(items), size=(0, expected.facts.n, int(length))[turn % 3])]
            for turn, length in enumerate(rng.integers(0, expected.facts.n + 1, size=len(part)))
        ]
        user = np.repeat(np.arange(len(part)), rng.integers(1, 6, size=len(part)))
        candidates = codes[rng.integers(len(items), size=len(user))]
        asked = (part, present, histories, candidates, user)
        worst = max(worst, _off(expected.score(*asked), got.score(*asked)))
        rows += len(user) + size
    return worst, rows


def _off(expected: Codes, got: Codes) -> float:
    return float(np.abs(expected - got).max())
