"""A feature kind is one file and its line: a new one trains, exports and embeds as others do."""

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

KIND = '''
"""Flag: true or false."""

from typing import Literal

import numpy as np
import pyarrow as pa

from export.contract.features.base import FIRST_WORD_ROW, MISSING_ROW, FeatureKind, Input, Mismatch


class Flag(FeatureKind):
    """True or false."""

    kind: Literal["flag"] = "flag"
    @property
    def form(self):
        return "id"

    @property
    def column_type(self):
        return pa.bool_()

    def parse(self, value):
        if value not in (None, True, False):
            raise Mismatch("true, false or null")
        return None if value is None else float(value)

    def stored(self, value):
        return None if value is None else bool(value)

    def own_rows(self):
        return FIRST_WORD_ROW + 2

    def invent(self, words, rng):
        return float(rng.integers(2))

    @classmethod
    def inputs(cls, features):
        return [Input("flags", "float32", ("batch", len(features)))] if features else []

    @classmethod
    def pack(cls, features, records):
        rows = [[np.nan if (v := r.get(n)) is None else v for n in features] for r in records]
        array = np.array(rows, dtype=np.float32).reshape(len(records), len(features))
        return {"flags": array} if features else {}

    @classmethod
    def graph(cls, features, tables, graph):
        if not features:
            return
        first, missing = (graph.constant(np.array(n)) for n in (FIRST_WORD_ROW, MISSING_ROW))
        zero = graph.constant(np.array(0, dtype=np.float32))
        unknown = graph.node("IsNaN", ["flags"])
        known = graph.node("Where", [unknown, zero, "flags"])
        row = graph.node("Add", [graph.node("Cast", [known], to=graph.INT64), first])
        graph.emit_ids(graph.node("Where", [unknown, missing, row]))
'''

SCRIPT = """
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from examples.synthetic.generate import generate
from export.bundling import export_run
from export.embedder import open_bundle
from export.contract.errors import RecordError
from training.config import parse_config
from training.run import run_training

root = Path.cwd()
generate(root / "data", users=40, items=30, exposures=12)
for name in ("users", "items"):
    path = root / "data" / f"{name}.parquet"
    table = pq.read_table(path)
    flags = [(True, False, None)[n % 3] for n in range(len(table))]
    pq.write_table(table.append_column("new", pa.array(flags)), path)
side = {"content": {"new": {"kind": "flag", "dim": 3}}}
config = {
    "data": {"folder": "data"},
    "split": {"kind": "given", "column": "split", "cold": "cold.parquet"},
    "user": side, "item": side, "tower": {"kind": "additive", "dim": 4},
    "losses": [{"kind": "in_batch_softmax"}], "negatives": [{"kind": "in_batch"}],
    "training": {"epochs": 1, "batch": 64, "refit": False, "learning_rate": 0.1},
}
run_training(parse_config(config, root / "train.yaml"), root / "run")
export_run(root / "run", root / "bundle-1")  # proves parity
_, embedder = open_bundle(root / "bundle-1")
for name in ("user", "item"):
    parse = embedder.schema.side(name).parse
    records = [parse({"new": value}) for value in (True, False, None)]
    vectors = embedder.embed(name, records)
    assert len(np.unique(vectors.round(5), axis=0)) == 3, vectors
    try:
        parse({"new": "maybe"})
    except RecordError as error:
        assert "true, false or null" in str(error)
    else:
        raise AssertionError("not refused")
print("embedded")
"""


def test_a_kind_of_one_file_and_one_line_trains_exports_and_embeds(tmp_path: Path) -> None:
    for package in ("export", "training", "examples"):
        ignored = shutil.ignore_patterns("__pycache__", "data", "runs", "bundles")
        shutil.copytree(ROOT / package, tmp_path / package, ignore=ignored)
    features = tmp_path / "export" / "contract" / "features"
    (features / "flag.py").write_text(KIND, encoding="utf-8")
    family = (features / "__init__.py").read_text(encoding="utf-8")
    line = "Feature = Annotated["
    assert family.count(line) == 1
    added = f"from export.contract.features.flag import Flag\n{line}Flag | "
    (features / "__init__.py").write_text(family.replace(line, added), encoding="utf-8")
    (tmp_path / "try.py").write_text(SCRIPT, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "try.py"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.stdout.strip().endswith("embedded"), done.stderr[-3000:]
