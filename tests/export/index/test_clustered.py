import numpy as np

from export.index.clustered import clustered_vectors, queries_near

VECTORS = clustered_vectors(6000, 64)


def test_made_queries_are_new_unit_vectors_at_cosines_from_six_tenths_to_one() -> None:
    made = queries_near(VECTORS, 500, seed=1)
    nearest = (made @ VECTORS.T).max(axis=1)
    np.testing.assert_allclose(np.linalg.norm(made, axis=1), 1, atol=1e-5)
    assert nearest.min() > 0.59
    assert np.mean(nearest < 0.9) > 0.3
    assert np.mean(nearest > 0.9999) < 0.05


def test_made_vectors_come_in_uneven_clusters() -> None:
    vectors = clustered_vectors(2000, 64, clusters=20, seed=4)
    np.testing.assert_array_equal(vectors, clustered_vectors(2000, 64, clusters=20, seed=4))
    close = (vectors @ vectors.T > 0.5).sum(axis=1)
    assert close.min() < 80
    assert close.max() > 250
