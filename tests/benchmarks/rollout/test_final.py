"""What a service does not serve as it was acknowledged is found in the end."""

from pathlib import Path

from benchmarks.rollout.bundles import make_bundles
from benchmarks.rollout.final import look
from benchmarks.rollout.notes import FROM_BUNDLE, Notes, Write
from benchmarks.rollout.records import cluster_words, record
from tests.end_to_end.processes import Served

ITEMS = 200
CLUSTERS = len(cluster_words(ITEMS))


def test_items_that_are_gone_other_than_they_were_put_or_back_again_are_named(
    tmp_path: Path,
) -> None:
    [bundle] = make_bundles(tmp_path / "bundles", ITEMS, 16, 1)
    served = Served(tmp_path / "data", bundle)
    try:
        posted = {"id": "new-0-0"} | record("new-0-0", 1, CLUSTERS)
        assert served.ask("POST", "/items", posted)[0] == 201
        assert served.ask("DELETE", "/items/i1")[0] == 204
        put, removed = Write(1, 0.0, 1.0, "1-0"), Write(None, 0.0, 1.0, "1-0")
        true = {"new-0-0": [put], "i1": [FROM_BUNDLE, removed]}
        found = look(served, Notes(histories=true), "base-1", CLUSTERS)
        assert (found.put, found.removed, found.unsure) == (1, 1, 0)
        assert (found.missing, found.lost, found.risen) == ([], [], [])
        false = {
            "new-0-1": [put],  # acknowledged, and not there
            "new-0-0": [put, Write(2, 0.0, 1.0, "2-0")],  # there in an older edition
            "i2": [FROM_BUNDLE, removed],  # removed, and there
            "i3": [FROM_BUNDLE, Write(None)],  # nobody knows
        }
        found = look(served, Notes(histories=false), "base-1", CLUSTERS)
        assert (found.put, found.removed, found.unsure) == (2, 1, 1)
        assert sorted(found.missing) == ["new-0-0", "new-0-1"]
        assert "new-0-1" in found.lost
        assert set(found.risen) == {"i2"}
        assert look(served, Notes(histories=true), "v2", CLUSTERS).missing == ["new-0-0"]
    finally:
        served.kill()
