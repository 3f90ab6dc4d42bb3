"""A ranker as two programs: `torch.export` of what codes items, and of what scores them."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.export import Dim, export, save

from export.contract.ranker import RankerFacts, without_history
from export.contract.run import RankerLayout
from export.contract.schema import Schema
from export.contract.side import SideName
from training.batches import tensors
from training.program import LONGEST_BAG, dynamic_shapes, example_of, export_tower
from training.ranker.model import Ranker, Scorer
from training.ranker.options import RankerOptions
from training.ranker.rows import length_of
from training.side_rows import SideRows


class Chances(nn.Module):
    """The scorer over the arrays that a program takes, by name."""

    def __init__(self, scorer: Scorer) -> None:
        super().__init__()
        self.scorer = scorer

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Return float[candidates], chances of a click; a row of NaN in `history` is padding."""
        history = inputs["history"]
        known = ~history.isnan().any(2)
        logits: Tensor = self.scorer(
            inputs, history.nan_to_num(0.0), known, inputs["items"], inputs["user"]
        )
        return logits.sigmoid()


def write_ranker(
    layout: RankerLayout,
    ranker: Ranker,
    config: RankerOptions,
    schema: Schema,
    history: str,
    entities: Mapping[SideName, SideRows],
) -> None:
    """Write the facts, the weights and both programs; `entities` are examples of both sides."""
    ranker.eval()
    layout.folder.mkdir(exist_ok=True)
    facts = RankerFacts(
        kind=config.kind,
        history=history,
        n=length_of(schema.user.preference[history]),
        dim=config.dim,
        width=ranker.code.width,
    )
    facts.write(layout.facts)
    torch.save(ranker.state_dict(), layout.weights)
    export_tower(ranker.code, entities["item"], layout.code)
    _export_scorer(ranker, without_history(schema, history), entities["user"], layout)


def _export_scorer(ranker: Ranker, schema: Schema, users: SideRows, layout: RankerLayout) -> None:
    """Save the scorer over any number of users and candidates, and any length of histories."""
    rows = replace(users, side=schema.user)
    example = example_of(rows)
    shapes = dynamic_shapes(example, rows.side, Dim("users", min=1, max=2**20))
    candidates = Dim("candidates", min=1, max=2**20)
    history = Dim("history_length", min=1, max=LONGEST_BAG)
    dim, width = ranker.code.dim, ranker.code.width
    example |= tensors(
        {
            "history": np.zeros((3, 4, dim), dtype=np.float32),
            "items": np.zeros((5, width), dtype=np.float32),
            "user": np.array([0, 0, 1, 2, 2]),
        }
    )
    shapes |= {
        "history": {0: next(iter(shapes.values()))[0], 1: history},
        "items": {0: candidates},
        "user": {0: candidates},
    }
    program = export(Chances(ranker.scorer), (example,), dynamic_shapes={"inputs": shapes})
    save(program, layout.score)
