"""What the first places of users' lists hold: coverage, the share of cold items, diversity."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from training.baselines import ItemWords
from training.metrics import Block, Floats, Indices, Search, spread_over

USERS_COMPARED = 2000  # at most so many lists are compared item by item


@dataclass(frozen=True)
class ListMetrics:
    """Figures of the first k places of every list.

    `coverage` is the share of the candidates that stand in the list of at least one user (Ge,
    Delgado-Battenfeld and Jannach, RecSys 2010, "catalogue coverage"), `cold_share` the share of
    all places that cold items hold, to be read beside `cold_candidates`, their share of the
    candidates. `diversity` is 1 - the mean cosine over the pairs of items of a list (Zhang and
    Hurley, RecSys 2008), the mean over lists; None where no list has two items of any words.
    """

    coverage: float
    cold_share: float
    cold_candidates: float
    diversity: float | None
    users: int


@dataclass
class Lists:
    """Collects lists block by block, as `rank` shows them.

    Where scores tie at the last place, each of those items has its chance of a place; coverage
    and shares are the means over all those random orders. The cosine is that of content (TF-IDF
    of tags and categories), the same for every scorer; items without words are left out of it.
    """

    search: Search
    cold: NDArray[np.bool_]  # [items]
    words: ItemWords | None
    k: int
    wanted: Indices  # the users whose lists count, ascending
    _missed: Floats = field(init=False)
    _places: Floats = field(init=False)
    _cosines: list[float] = field(default_factory=list)
    _users: int = 0

    def __post_init__(self) -> None:
        self._missed = np.ones(len(self.search.candidates))
        self._places = np.zeros(len(self.search.candidates))
        self._compared = spread_over(self.wanted, USERS_COMPARED)

    def add(self, users: Indices, block: Block) -> None:
        """Take in the lists of some users from their scores of all items."""
        mine = np.isin(users, self.wanted)
        users, block = users[mine], block[mine]
        sure, tied, chance = places(self.search.scores(users, block), self.k)
        share = sure + tied * chance[:, None]
        self._missed *= np.prod(1 - share, axis=0)
        self._places += share.sum(0)
        self._users += len(users)
        if self.words is not None:
            for row in np.flatnonzero(np.isin(users, self._compared)):
                self._compare(self.words, sure[row], tied[row])

    def figures(self) -> ListMetrics:
        """Return the figures of all that was taken in."""
        cold = self.cold[self.search.candidates]
        return ListMetrics(
            coverage=float(1 - self._missed.mean()),
            cold_share=float(self._places[cold].sum() / self._places.sum()),
            cold_candidates=float(cold.mean()),
            diversity=1 - float(np.mean(self._cosines)) if self._cosines else None,
            users=self._users,
        )

    def _compare(self, words: ItemWords, sure: NDArray[np.bool_], tied: NDArray[np.bool_]) -> None:
        """Note the mean cosine of one list, by |sum of unit vectors|^2 = n + 2 sum of cosines."""
        candidates = self.search.candidates
        has_words = np.diff(words.rows.starts)[candidates] > 0
        slots, among = self.k - np.count_nonzero(sure), np.count_nonzero(tied)
        one = min(1.0, slots / among) if among else 0.0
        two = one * max(0.0, (slots - 1) / (among - 1)) if among > 1 else 0.0
        first, last = candidates[sure & has_words], candidates[tied & has_words]
        a, b = words.sum(first), words.sum(last)
        n, m = len(first), len(last)
        cosines = (a @ a - n) / 2 + one * (a @ b) + two * (b @ b - m) / 2
        pairs = n * (n - 1) / 2 + one * n * m + two * m * (m - 1) / 2
        if pairs > 0:
            self._cosines.append(float(cosines / pairs))


def places(scores: Block, k: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_], Floats]:
    """Say who stands in the first k places of each row, masked ones (-inf) never.

    Returns:
        `sure` [users, candidates] is in whatever the order of equal scores; `tied` shares the
        score of the last place, and is in with a chance [users].
    """
    size = scores.shape[1]
    if size > k:
        last = np.partition(scores, size - k, axis=1)[:, size - k, None]
    else:
        last = np.full((len(scores), 1), -np.inf)
    sure = scores > last
    tied = (scores == last) & np.isfinite(last)
    slots, among = k - sure.sum(1), tied.sum(1)
    return sure, tied, np.minimum(1.0, slots / np.maximum(among, 1))
