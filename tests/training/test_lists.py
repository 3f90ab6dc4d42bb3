import numpy as np
import pytest

from training.baselines import ItemWords, random_scores
from training.lists import ListMetrics, Lists, places
from training.metrics import Scores, Search, UserItems, rank

WORDS = ItemWords({"tags": [["x"], ["x"], ["x", "y"], ["y"], [], ["y"]]})


def table(*rows: list[float]) -> Scores:
    return lambda users: np.array(rows, dtype=np.float32)[users]


def found(
    scores: Scores,
    *,
    users: int,
    k: int,
    items: int = 6,
    cold: tuple[int, ...] = (),
    masked: UserItems | None = None,
    words: ItemWords | None = WORDS,
) -> ListMetrics:
    everyone = np.arange(users)
    search = Search(np.arange(items), masked)
    lists = Lists(search, np.isin(np.arange(items), cold), words, k, everyone)
    one_each = UserItems.from_pairs(everyone, np.zeros(users, int), users)
    rank(scores, [(search, one_each)], lists.add)
    return lists.figures()


def test_coverage_is_the_share_of_items_that_any_list_holds() -> None:
    # Lists of two: items 0 and 1, then items 1 and 2; three of six items are recalled.
    scores = table([9, 8, 7, 6, 5, 4], [1, 9, 8, 3, 2, 0])
    assert found(scores, users=2, k=2).coverage == pytest.approx(3 / 6)


def test_cold_share_is_the_share_of_places_that_cold_items_hold() -> None:
    scores = table([9, 8, 7, 6, 5, 4], [1, 9, 8, 3, 2, 0])
    measured = found(scores, users=2, k=2, cold=(2, 5, 4))
    assert measured.cold_share == pytest.approx(1 / 4)  # of 0, 1, 1, 2 only item 2 is cold
    assert measured.cold_candidates == pytest.approx(3 / 6)


def test_masked_items_hold_no_place() -> None:
    masked = UserItems.from_pairs(np.array([0]), np.array([0]), 1)
    measured = found(table([9, 8, 7, 6, 5, 4]), users=1, k=2, cold=(0, 2), masked=masked)
    assert measured.cold_share == pytest.approx(1 / 2)  # places go to items 1 and 2


def test_diversity_is_one_less_the_mean_cosine_of_pairs() -> None:
    # x and y stand in 3 of 6 items each, so both weigh ln 2: item 2 is (1, 1) / sqrt 2.
    half = 1 / np.sqrt(2)
    alike = found(table([9, 8, 7, 6, 5, 4]), users=1, k=2)
    assert alike.diversity == pytest.approx(0)  # items 0 and 1: x and x
    three = found(table([9, 8, 7, 6, 5, 4]), users=1, k=3)
    assert three.diversity == pytest.approx(1 - (1 + half + half) / 3)
    apart = found(table([9, 1, 2, 8, 5, 4]), users=1, k=2)
    assert apart.diversity == pytest.approx(1)  # items 0 and 3: x and y
    both = found(table([9, 8, 7, 6, 5, 4], [9, 1, 2, 8, 5, 4]), users=2, k=2)
    assert both.diversity == pytest.approx((0 + 1) / 2)


def test_items_without_words_are_left_out_of_diversity() -> None:
    measured = found(table([9, 1, 2, 8, 10, 4]), users=1, k=3)  # items 4, 0, 3; 4 has no words
    assert measured.diversity == pytest.approx(1)
    assert found(table([9, 1, 2, 8, 10, 4]), users=1, k=2).diversity is None
    assert found(table([9, 1, 2, 8, 10, 4]), users=1, k=2, words=None).diversity is None


def test_ties_count_as_their_mean_over_all_orders() -> None:
    row = np.array([5.0, 1.0, 1.0, 1.0, 1.0, 0.0])
    exact = found(table(list(row), list(row)), users=2, k=3, cold=(2, 3))
    rng = np.random.default_rng(0)
    covered, cold, cosines = [], [], []
    vectors = np.stack([WORDS.sum(np.array([item])) for item in range(6)])
    has_words = np.linalg.norm(vectors, axis=1) > 0
    for _ in range(4000):
        lists = [np.lexsort((rng.random(6), -row))[:3] for _ in range(2)]
        covered.append(len(set(lists[0]) | set(lists[1])) / 6)
        cold.append(np.isin(np.concatenate(lists), [2, 3]).mean())
        kept = vectors[[item for item in lists[0] if has_words[item]]]
        products = kept @ kept.T
        pairs = len(kept) * (len(kept) - 1) / 2
        cosines.append(((products.sum() - np.trace(products)) / 2, pairs))
    total, pairs = np.sum(cosines, axis=0)
    assert exact.coverage == pytest.approx(np.mean(covered), abs=0.01)
    assert exact.cold_share == pytest.approx(np.mean(cold), abs=0.01)
    assert exact.diversity == pytest.approx(1 - total / pairs, abs=0.02)


def test_random_lists_hold_cold_items_by_their_share_of_the_catalogue() -> None:
    measured = found(random_scores(6), users=50, k=2, cold=(1, 5))
    assert measured.cold_share == pytest.approx(measured.cold_candidates)
    assert measured.coverage == pytest.approx(1, abs=1e-6)


def test_lists_longer_than_the_catalogue_hold_all_but_the_masked() -> None:
    scores = np.array([[3.0, -np.inf, 1.0]], dtype=np.float32)
    sure, tied, _ = places(scores, 5)
    assert sure.tolist() == [[True, False, True]]
    assert not tied.any()


def test_lists_of_users_outside_are_not_counted() -> None:
    lists = Lists(Search(np.arange(6)), np.zeros(6, bool), None, 2, np.array([1]))
    lists.add(np.array([0, 1]), np.array([[9, 8, 0, 0, 0, 0], [0, 0, 9, 8, 0, 0]], np.float32))
    assert lists.figures().users == 1
    assert lists.figures().coverage == pytest.approx(2 / 6)


def test_diversity_of_many_users_is_that_of_a_spread_of_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("training.lists.USERS_COMPARED", 2)
    alike, apart = [9.0, 8, 0, 0, 0, 0], [9.0, 0, 0, 8, 0, 0]
    measured = found(table(apart, alike, alike, alike, apart), users=5, k=2)
    assert measured.diversity == pytest.approx(1), "the first and the last user"
    assert measured.users == 5
