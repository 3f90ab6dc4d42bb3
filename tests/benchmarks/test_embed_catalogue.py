from argparse import Namespace
from pathlib import Path

import pyarrow.parquet as pq

from benchmarks.embed_catalogue import MEMORY, SPEED, Round, measure
from benchmarks.targets import ratios
from tests.tiny import tiny_bundle


def test_ratios_are_met_at_their_limits() -> None:
    [fast, slow] = (ratios([SPEED], [Round(whole_s, 0.8)])[0] for whole_s in (1.0, 1.01))
    assert (fast["median"], fast["is"], slow["is"]) == (0.8, "met", "missed")
    [flat, grown] = (ratios([MEMORY], [(100.0, mb)])[0] for mb in (110.0, 111.0))
    assert (flat["median"], flat["is"], grown["is"]) == (1.1, "met", "missed")


def test_a_tiny_run_tells_every_figure(tmp_path: Path) -> None:
    tiny_bundle(tmp_path / "bundles", "films-1")
    found = measure(Namespace(work=tmp_path, items=400, rounds=1))
    assert [one["ratio"] for one in found["ratios"]] == [SPEED.name, MEMORY.name]
    assert 0 < found["items per second of CPU"] < found["of onnxruntime alone"]
    assert min(found["peak MB of a quarter, and of all"]) > 50
    assert len(pq.read_table(tmp_path / "vectors.parquet")) == 400
