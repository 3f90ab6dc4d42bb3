"""A tower as a program: `torch.export` over any batch size and any length of a bag."""

from pathlib import Path

import numpy as np
from torch.export import Dim, export, save

from training.batches import tensors
from training.model import SideTower
from training.rows import SideRows

LONGEST_BAG = 65_536


def export_tower(tower: SideTower, rows: SideRows, path: Path) -> None:
    """Save a tower as a `torch.export` program over dynamic batches and bag lengths."""
    tower.eval()
    example = tensors(rows.batch(np.arange(3) % len(rows)))  # one row would fix the batch at 1
    for name in rows.side.bags:  # an example of length 1 would fix the length at 1
        for array in (name, f"{name}.weights"):
            if array in example:
                example[array] = example[array].new_ones((len(example[array]), 3))
    batch = Dim("batch", min=1, max=2**20)
    length = {
        name: Dim(f"length_{number}", min=1, max=LONGEST_BAG)
        for number, name in enumerate(rows.side.bags)
    }
    shapes = {
        name: {0: batch, 1: length[bag]}
        if (bag := name.removesuffix(".weights")) in length
        else {0: batch}
        for name in example
    }
    save(export(tower, (example,), dynamic_shapes={"inputs": shapes}), path)
