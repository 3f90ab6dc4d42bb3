"""The rankers of a run or a bundle, ready to be measured."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnxruntime as ort
import torch
from numpy.typing import NDArray
from torch.export import load

from export.contract.bundle import BundleLayout
from export.contract.ranker import Ranker, RankerFacts, Run, read_facts, without_history
from export.contract.run import RankerLayout, RunLayout
from export.contract.schema import Schema
from export.contract.session import open_session
from export.contract.side import Arrays, SideName
from training.batches import tensors
from training.encoder import Encoder

Rankers = dict[str, Ranker]
"""By kind: the ranker, and the baseline that was trained beside it."""


def run_rankers(layout: RunLayout, schema: Schema) -> Rankers:
    """Open the programs of a run's rankers, none where it has none."""
    found: Rankers = {}
    for one in (layout.ranker, layout.ranker_baseline):
        if one.facts.is_file():
            facts = read_facts(one.facts, schema)
            found[facts.kind] = _of_programs(one, schema, facts)
    return found


def bundle_rankers(layout: BundleLayout, schema: Schema) -> Rankers:
    """Open the ranker of a bundle, which holds no baseline."""
    if not layout.ranker_facts.is_file():
        return {}
    facts = read_facts(layout.ranker_facts, schema)
    code, score = (_session(path) for path in (layout.ranker_item, layout.ranker))
    return {facts.kind: Ranker(schema, facts, code, score)}


def _of_programs(layout: RankerLayout, schema: Schema, facts: RankerFacts) -> Ranker:
    users = without_history(schema, facts.history)
    beside = [one.name for one in facts.inputs]
    code = _program(layout.code, schema, "item", ())
    return Ranker(schema, facts, code, _program(layout.score, users, "user", beside))


def _program(path: Path, schema: Schema, side: SideName, beside: Sequence[str]) -> Run:
    """Return an encoder and the program behind it; `beside` it takes as they are."""
    encoder, program = Encoder(schema, side), load(path).module()
    names = (*schema.side(side).encoded, *beside)

    @torch.no_grad()
    def run(arrays: Arrays) -> NDArray[np.float32]:
        known = arrays | encoder.run(arrays)
        found: NDArray[np.float32] = program(tensors({n: known[n] for n in names})).numpy()
        return found

    return run


def _session(path: Path) -> Callable[[Arrays], NDArray[np.float32]]:
    session: ort.InferenceSession = open_session(path)

    def run(arrays: Arrays) -> NDArray[np.float32]:
        found: NDArray[np.float32] = session.run(None, arrays)[0]
        return found

    return run
