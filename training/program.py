"""A tower as a program: `torch.export` over any batch size and any length of a bag."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, nn
from torch.export import Dim, export, save

from export.contract.side import Side
from training.batches import tensors
from training.side_rows import SideRows

LONGEST_BAG = 65_536


def export_tower(tower: nn.Module, rows: SideRows, path: Path) -> None:
    """Save a tower as a `torch.export` program over dynamic batches and bag lengths."""
    tower.eval()
    example = example_of(rows)
    shapes = dynamic_shapes(example, rows.side, Dim("batch", min=1, max=2**20))
    save(export(tower, (example,), dynamic_shapes={"inputs": shapes}), path)


def example_of(rows: SideRows) -> dict[str, Tensor]:
    """Return a program's inputs for three rows."""
    example = tensors(rows.batch(np.arange(3) % len(rows)))  # one row would fix the batch at 1
    for name in rows.side.bags:  # an example of length 1 would fix the length at 1
        for array in (name, f"{name}.weights"):
            if array in example:
                example[array] = example[array].new_ones((len(example[array]), 3))
    return example


def dynamic_shapes(names: Iterable[str], side: Side, batch: Any) -> dict[str, dict[int, Any]]:
    """Return, for each input, its dimensions that vary: the batch, and the length of a bag."""
    length = {
        name: Dim(f"length_{number}", min=1, max=LONGEST_BAG)
        for number, name in enumerate(side.bags)
    }
    return {
        name: {0: batch, 1: length[bag]}
        if (bag := name.removesuffix(".weights")) in length
        else {0: batch}
        for name in names
    }
