"""The ways to place new items by a few clicks, beside towers that stay as they are."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.few_shot.cvar import CVAR, Options, fit_cvar, fit_rows
from benchmarks.few_shot.towers import Towers

WEIGHT, PRIOR = 2.0, 10.0  # of the users' mean, and the clicks that content counts as


class Ways:
    """Vectors of all items, those of the new ones made in different ways."""

    def __init__(
        self, towers: Towers, shots: Mapping[str, int], seed: int, how: Options | None = None
    ) -> None:
        self.towers, self.seed, self.how = towers, seed, how or Options()
        ids = towers.data.items.ids
        self.is_new = torch.tensor([one in shots for one in ids])
        self.clicks = torch.bincount(towers.click_item, minlength=len(ids))
        self.frequency = self.clicks.log1p() / self.clicks.max().log1p()

    def each(self) -> Iterator[tuple[str, Tensor]]:
        """Give every way by its name: unit vectors [items, dim]."""
        yield "content", self.content()
        yield "own id", self.as_trained()
        yield "mean of users", self.mean_of_users()
        yield "own id trained later", self._vectors(self.trained_later(self._no_ids()))
        yield from self.cvar()

    def content(self) -> Tensor:
        """Return them with the ids of new items hidden."""
        return self._vectors(self.towers.ids, self.towers.is_known & ~self.is_new)

    def as_trained(self) -> Tensor:
        """Return them as the towers do: an id that training knows has its row."""
        return self._vectors(self.towers.ids, self.towers.is_known)

    def mean_of_users(self, weight: float = WEIGHT, prior: float = PRIOR) -> Tensor:
        """Return content's vector and, added to it, the shrunk mean of who clicked.

        The users are taken less the mean of all clicks' users, which tells of no item.
        """
        towers, found = self.towers, self.content()
        apart = towers.click_user - towers.click_user.mean(0)
        sums = torch.zeros_like(found).index_add(0, towers.click_item, apart)
        return self._moved(found, weight * sums / (self.clicks[:, None] + prior))

    def lifted(self, found: Tensor, lift: float) -> Tensor:
        """Return vectors with new items nearer to all users alike: what being promoted does."""
        return self._moved(found, lift * self.towers.users.mean(0))

    def trained_later(self, ids: Tensor) -> Tensor:
        """Return id vectors, those of new items with clicks trained from `ids` on."""
        torch.manual_seed(self.seed)
        new = (self.is_new & (self.clicks > 0)).nonzero()[:, 0]
        return fit_rows(self.towers, ids, self._clicked(1), new, self.how)

    def cvar(self) -> Iterator[tuple[str, Tensor]]:
        """Give what CVAR generates at first, that trained by the clicks, and generated again."""
        torch.manual_seed(self.seed)
        cvar, how = CVAR(self.towers, self.how.latent), self.how
        known = self._clicked(how.least)
        fit_cvar(cvar, self.towers, known[~self.is_new[known]], self.frequency, how)
        ids = self._generated(cvar)
        yield "cvar", self._vectors(ids, self.towers.is_known | self.is_new)
        ids = self.trained_later(ids)
        yield "cvar, then trained", self._vectors(ids, self.towers.is_known | self.is_new)
        cvar.rows = ids
        new = (self.is_new & (self.clicks > 0)).nonzero()[:, 0]
        which = torch.cat([known[~self.is_new[known]], new])
        fit_cvar(cvar, self.towers, which, self.frequency, replace(how, iterations=how.again))
        ids = self._generated(cvar)
        yield "cvar, generated again", self._vectors(ids, self.towers.is_known | self.is_new)

    @torch.no_grad()
    def _generated(self, cvar: CVAR) -> Tensor:
        everyone = torch.arange(len(self.clicks))
        ids, _, _ = cvar(everyone, self.frequency)
        return torch.where(self.is_new[:, None], ids, self.towers.ids)

    def _moved(self, found: Tensor, by: Tensor) -> Tensor:
        moved = functional.normalize(found + by, dim=1)
        return torch.where(self.is_new[:, None], moved, found)

    def _no_ids(self) -> Tensor:
        return self.towers.ids * ~self.is_new[:, None]

    def _clicked(self, least: int) -> Tensor:
        return (self.clicks >= least).nonzero()[:, 0]

    @torch.no_grad()
    def _vectors(self, ids: Tensor, present: Tensor | None = None) -> Tensor:
        present = self.towers.is_known if present is None else present
        return self.towers.items(torch.arange(len(ids)), ids, present)
