import numpy as np
import pytest

from training.geometry import item_map, score_distributions


def test_scores_of_warm_and_cold_items_are_told_apart() -> None:
    users = np.array([[1.0, 0.0], [0.0, 1.0]], dtype=np.float32)
    items = np.array([[1, 0], [0, 1], [-1, 0]], dtype=np.float32)
    found = score_distributions(users, items, np.array([False, False, True]))
    assert found["warm"]["mean"] == pytest.approx(0.5)  # of 1, 0, 0, 1
    assert found["warm"]["deviation"] == pytest.approx(0.5)
    assert found["cold"]["mean"] == pytest.approx(-0.5)  # of -1, 0
    for name in ("warm", "cold"):
        assert sum(found[name]["share"]) == pytest.approx(1, abs=1e-3)
    assert found["cold"]["share"][0] == pytest.approx(0.5)
    assert found["warm"]["share"][-1] == pytest.approx(0.5)
    assert (found["edges"][0], found["edges"][-1]) == pytest.approx((-1, 1))


def test_without_cold_items_there_is_no_distribution_of_them() -> None:
    users = items = np.eye(3, dtype=np.float32)
    assert score_distributions(users, items, np.zeros(3, bool))["cold"] is None


def test_the_map_keeps_the_distances_of_what_is_flat() -> None:
    rng = np.random.default_rng(0)
    flat = rng.normal(0, 1, (50, 2)) * [2, 1]
    turned = np.linalg.qr(rng.normal(0, 1, (5, 5)))[0][:2]
    found = item_map((flat @ turned + 3).astype(np.float32), np.zeros(50, dtype=np.int64))
    places = np.stack([found["x"], found["y"]], axis=1)

    def distances(points: np.ndarray) -> np.ndarray:
        return np.asarray(np.linalg.norm(points[:, None] - points[None], axis=2))

    np.testing.assert_allclose(distances(places), distances(flat), atol=1e-3)
    assert found["explained"] == pytest.approx(1, abs=1e-4)
    assert np.std(found["x"]) > np.std(found["y"])


def test_the_map_knows_how_much_is_known_of_each_item() -> None:
    found = item_map(np.eye(4, dtype=np.float32), np.array([0, 3, 20, 21]))
    assert [found["labels"][one] for one in found["bucket"]] == ["0", "1-5", "6-20", ">20"]


def test_a_large_catalogue_is_thinned_evenly() -> None:
    items = np.random.default_rng(0).normal(0, 1, (9000, 3)).astype(np.float32)
    found = item_map(items, np.repeat([0, 30], 4500))
    assert len(found["x"]) == len(found["bucket"]) == 2000
    assert np.mean(np.array(found["bucket"]) == 0) == pytest.approx(0.5, abs=0.01)
