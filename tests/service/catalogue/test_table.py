from pathlib import Path

from export.contract.bundle import read_bundle
from service.catalogue.table import Catalogue
from tests.service.made import made_bundle, unit_vectors
from tests.tiny import tiny_items, tiny_schema


def test_records_read_back_as_they_were_exported(bundle_folder: Path) -> None:
    catalogue = Catalogue(read_bundle(bundle_folder))
    expected = tiny_items(tiny_schema(), 40).records
    assert [catalogue.record(row) for row in range(len(catalogue))] == expected
    content, preference = catalogue.groups(4)
    assert preference == {"clicks": 4.0}
    assert content.keys() == {"topics", "length"}


def test_popularity_orders_the_rows_and_equal_ones_keep_the_bundles_order() -> None:
    bundle = made_bundle(unit_vectors(5, seed=1))
    bundle.popularity[:] = [0.1, 0.3, float("nan"), 0.3, 0.0]
    assert Catalogue(bundle).by_popularity.tolist() == [1, 3, 0, 2, 4]


def test_a_value_that_the_schema_cannot_read_is_missing() -> None:
    bundle = made_bundle(unit_vectors(2, seed=1))
    wrong = bundle.records.set_column(1, "length", [["long", "short"]])
    catalogue = Catalogue(type(bundle)(**{**bundle.__dict__, "records": wrong}))
    assert catalogue.record(0) == {"topics": ["art", "t0"], "clicks": 0.0}
    assert list(catalogue.words("length", 0)) == []
