"""CVAR: a conditional variational autoencoder that generates id vectors of new items.

Zhao et al., SIGIR 2022, arXiv 2205.13795. What is otherwise here stands in the decision page.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from benchmarks.few_shot.towers import Towers

NOISE = 1e-4  # of a latent sample, as in the code published with the paper
MATCH = 1e-4  # weight of the distance between the two encoders


@dataclass(frozen=True)
class Options:
    """How CVAR and id vectors are trained, beside frozen towers."""

    latent: int = 16
    learning_rate: float = 0.001
    iterations: int = 10  # on each batch, and once new items have clicks
    again: int = 10
    rows_rate: float = 0.005
    rows_passes: int = 1
    batch: int = 2048
    least: int = 50  # clicks of an item that CVAR learns from at first


class CVAR(nn.Module):
    """Encodes id vectors and side information, decodes to id vectors given how many clicks.

    Side information is the towers' content, which is frozen, and a vector of the item's own,
    through which clicks come in.
    """

    def __init__(self, towers: Towers, latent: int) -> None:
        super().__init__()
        (items, dim), wide = towers.ids.shape, towers.content.shape[1]
        self.content, self.rows = towers.content, towers.ids.clone()
        self.own = nn.Embedding(items, dim)
        self.mean, self.log_variance = nn.Linear(dim, latent), nn.Linear(dim, latent)
        self.side_mean = nn.Linear(wide + dim, latent)
        self.side_log_variance = nn.Linear(wide + dim, latent)
        self.decoder = nn.Linear(latent + 1, dim)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -0.01, 0.01)
        nn.init.zeros_(self.own.weight)

    def forward(self, which: Tensor, frequency: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return id vectors from side information, reconstruction error and distance."""
        side, row = torch.cat([self.content[which], self.own(which)], 1), self.rows[which]
        q, log_q = self.mean(row), self.log_variance(row)
        p, log_p = self.side_mean(side), self.side_log_variance(side)
        spread = (log_q / 2).exp() - (log_p / 2).exp()
        distance = (q - p).square().sum() + spread.square().sum()  # Wasserstein, of Gaussians
        again = self._decoded(q, log_q, frequency[which])
        error = (again - row).square().sum(1).mean()
        return self._decoded(p, log_p, frequency[which]), error, distance

    def _decoded(self, mean: Tensor, log_variance: Tensor, frequency: Tensor) -> Tensor:
        drawn = mean + NOISE * (log_variance / 2).exp() * torch.randn_like(mean)
        decoded: Tensor = self.decoder(torch.cat([drawn, frequency[:, None]], 1))
        return decoded


def fit_cvar(cvar: CVAR, towers: Towers, which: Tensor, frequency: Tensor, how: Options) -> None:
    """Take one pass over the clicks on `which` items, which are held against each other."""
    optimizer = torch.optim.Adam(cvar.parameters(), lr=how.learning_rate, weight_decay=1e-6)
    present = torch.ones(len(which), dtype=torch.bool)
    for clicks in batches(towers, which, how.batch):
        for _ in range(how.iterations):
            ids, error, distance = cvar(which, frequency)
            found = towers.items(which, ids, present)
            loss = towers.softmax_loss(clicks, which, found) + error + MATCH * distance
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def fit_rows(towers: Towers, ids: Tensor, which: Tensor, new: Tensor, how: Options) -> Tensor:
    """Train the id vectors of new items, from `ids` on, by all clicks; return all [items, dim]."""
    rows = nn.Parameter(ids[new].clone())
    optimizer = torch.optim.Adam([rows], lr=how.rows_rate)
    present = towers.is_known.clone()
    present[new] = True
    for _ in range(how.rows_passes):
        for clicks in batches(towers, which, how.batch):
            everyone = ids.index_put((new,), rows)[which]
            found = towers.items(which, everyone, present[which])
            loss = towers.softmax_loss(clicks, which, found)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    return ids.index_put((new,), rows.detach())


def batches(towers: Towers, which: Tensor, size: int) -> Iterator[Tensor]:
    """Give the places of all clicks on `which` items once, in an order that torch draws."""
    clicks = torch.isin(towers.click_item, which).nonzero()[:, 0]
    yield from torch.split(clicks[torch.randperm(len(clicks))], size)
