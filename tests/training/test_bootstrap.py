import numpy as np
import pytest

from training.bootstrap import paired_bootstrap


def test_a_constant_difference_has_no_width() -> None:
    theirs = np.random.default_rng(0).random(50)
    (one,) = paired_bootstrap(theirs + 0.25, [theirs])
    assert (one.difference, one.low, one.high) == pytest.approx((0.25, 0.25, 0.25))
    assert (one.won, one.users) == (1.0, 50)


def test_equal_scorers_win_half() -> None:
    theirs = np.random.default_rng(0).random(50)
    (one,) = paired_bootstrap(theirs, [theirs.copy()])
    assert (one.difference, one.low, one.high, one.won) == (0, 0, 0, 0.5)


def test_the_interval_is_that_of_the_normal_for_many_users() -> None:
    # The mean of n differences has the deviation s / sqrt(n): 1.96 of them either way.
    differences = np.random.default_rng(1).normal(0.03, 0.5, 2000)
    (one,) = paired_bootstrap(differences, [np.zeros(2000)], resamples=4000)
    half = 1.96 * differences.std() / np.sqrt(2000)
    assert one.difference == pytest.approx(differences.mean())
    assert one.low == pytest.approx(differences.mean() - half, abs=0.1 * half)
    assert one.high == pytest.approx(differences.mean() + half, abs=0.1 * half)


def test_users_are_paired_and_not_just_the_means() -> None:
    # Users differ a lot, the scorers little: unpaired, this difference would drown.
    theirs = np.random.default_rng(2).choice([0.0, 1.0], 400)
    ours = theirs + np.random.default_rng(3).normal(0.02, 0.05, 400)
    paired, mixed = paired_bootstrap(ours, [theirs, np.random.default_rng(4).permutation(theirs)])
    assert paired.low > 0
    assert mixed.low < 0 < mixed.high
    assert paired.difference == pytest.approx(mixed.difference)


def test_the_interval_speaks_for_new_users() -> None:
    """Of 200 draws of users, about 95 % of the intervals hold the true difference."""
    rng, held = np.random.default_rng(5), 0
    for _ in range(200):
        (one,) = paired_bootstrap(rng.exponential(1, 150), [np.zeros(150)], resamples=300)
        held += one.low <= 1 <= one.high
    assert 0.88 <= held / 200 <= 0.99


def test_figures_of_other_users_are_refused() -> None:
    with pytest.raises(ValueError, match="shape|broadcast"):
        paired_bootstrap(np.zeros(3), [np.zeros(4)])
    with pytest.raises(ValueError, match="got no user"):
        paired_bootstrap(np.zeros(0), [np.zeros(0)])


def test_weights_are_those_of_the_means_and_travel_with_their_users() -> None:
    rng = np.random.default_rng(6)
    ours, theirs, weights = rng.random(300), rng.random(300), rng.integers(1, 9, 300).astype(float)
    (one,) = paired_bootstrap(ours, [theirs], weights=weights)
    assert one.difference == pytest.approx(np.average(ours - theirs, weights=weights))
    assert one.low < one.difference < one.high
    heavy = np.where(np.arange(300) == 7, 1e9, 1.0)  # a resample without user 7 is about a third
    (alone,) = paired_bootstrap(ours, [theirs], weights=heavy)
    assert alone.difference == pytest.approx(ours[7] - theirs[7], abs=1e-5)
    assert alone.low < alone.difference < alone.high
