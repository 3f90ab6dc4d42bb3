import numpy as np
import pytest

from tests.training.negatives.made import ITEMS, made_shown
from training.candidates import RAREST, Candidates, Columns
from training.negatives import Hard, InBatch, Mixed, Roll
from training.negatives.base import NegativeKind, Shown

SIZE = 8


@pytest.fixture(scope="module")
def shown() -> Shown:
    return made_shown()


def candidates(shown: Shown, *negatives: NegativeKind) -> Candidates:
    return Candidates(shown, [one.source(shown) for one in negatives])


def draw(shown: Shown, *negatives: NegativeKind, size: int = SIZE, seed: int = 0) -> Columns:
    return candidates(shown, *negatives).draw(np.arange(size), np.random.default_rng(seed))


def test_the_batch_comes_first_and_every_source_behind_it(shown: Shown) -> None:
    found = draw(shown, InBatch(), Mixed(n=5), Hard())
    assert (found.rows[:SIZE] == np.arange(SIZE)).all()
    assert found.candidate.shape == found.log_q.shape == (SIZE, len(found.rows))
    assert found.candidate[:, : SIZE + 5].all()
    assert not found.candidate[:, SIZE + 5 :].all()


def test_without_in_batch_the_batchs_items_are_no_candidates(shown: Shown) -> None:
    found = draw(shown, Mixed(n=5))
    assert not found.candidate[:, :SIZE].any()
    assert found.candidate[:, SIZE:].all()


@pytest.mark.parametrize("negatives", [(InBatch(),), (Roll(n=3),)])
def test_what_the_batch_gives_is_as_likely_as_it_stands_in_the_log(
    shown: Shown, negatives: tuple[NegativeKind, ...]
) -> None:
    found = draw(shown, *negatives)
    share = shown.frequency[shown.item[:SIZE]]
    assert found.log_q[0] == pytest.approx(np.log(share), rel=1e-5)
    assert (found.log_q == found.log_q[0]).all()


def test_a_mixture_weighs_its_laws_by_their_draws(shown: Shown) -> None:
    found = draw(shown, InBatch(), Mixed(n=4))
    share, alike = shown.frequency[shown.item[found.rows]], 1 / len(set(shown.item))
    expected = (SIZE * share + 4 * alike) / (SIZE + 4)
    assert np.exp(found.log_q[0]) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    "negatives", [(InBatch(),), (Mixed(n=6),), (InBatch(), Mixed(n=6))], ids=len
)
def test_q_is_the_share_of_draws_an_item_gets(
    shown: Shown, negatives: tuple[NegativeKind, ...]
) -> None:
    """Batches drawn at random: how often does each item stand among the candidates of a row."""
    drawer, rng = candidates(shown, *negatives), np.random.default_rng(0)
    counts, q = np.zeros(ITEMS), np.zeros(ITEMS)
    for _ in range(1500):
        found = drawer.draw(rng.permutation(shown.learned)[:SIZE], rng)
        items = shown.item[found.rows]
        np.add.at(counts, items[found.candidate[0]], 1)
        q[items] = np.exp(found.log_q[0])
    seen = counts > 0
    assert counts[seen] / counts.sum() == pytest.approx(q[seen], rel=0.15)


def test_a_candidate_of_the_rows_own_law_has_its_chance_added(shown: Shown) -> None:
    found, alone = draw(shown, InBatch(), Hard(n=2)), draw(shown, InBatch())
    assert (found.log_q[:, :SIZE] == alone.log_q).all()
    drawn = Hard(n=2).source(shown).draw(np.arange(SIZE), np.random.default_rng(0))
    share = shown.frequency[shown.item[found.rows[SIZE:]]]
    expected = (SIZE * share + drawn.chance) / SIZE
    assert np.exp(found.log_q[:, SIZE:]) == pytest.approx(np.maximum(expected, RAREST), rel=1e-5)


def test_where_no_law_is_shared_nothing_is_corrected(shown: Shown) -> None:
    assert not draw(shown, Hard()).log_q.any()
    assert not draw(shown, Roll(), size=1).log_q.any()


def test_a_rare_item_is_not_corrected_without_bound(shown: Shown) -> None:
    unseen = int(np.flatnonzero(shown.frequency[shown.item] == 0)[0])  # never clicked
    drawer = candidates(shown, InBatch())
    found = drawer.draw(np.array([unseen, 0]), np.random.default_rng(0))
    assert found.log_q[0, 0] == pytest.approx(np.log(RAREST))
