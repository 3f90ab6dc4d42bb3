import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from export.contract.errors import BundleError
from export.index.clustered import clustered_vectors, queries_near
from export.index.compact import CompactConfig, CompactIndex
from export.index.exact import ExactConfig
from export.index.file import sha256_of
from export.index.hnsw import HnswConfig
from export.index.tune import recall_at_k, tune

VECTORS = clustered_vectors(6000, 64)
QUERIES = queries_near(VECTORS, 100, seed=3)
CONFIG = CompactConfig(lists=150, probes=10)


def recall(index: object, k: int) -> float:
    assert isinstance(index, CompactIndex)
    _, truth = ExactConfig().build(VECTORS).search(QUERIES, k)
    return recall_at_k(index.search(QUERIES, k)[1], truth)


def test_scores_are_those_of_the_vectors_not_of_their_codes() -> None:
    labels, scores = CONFIG.build(VECTORS).search(QUERIES, 20)
    np.testing.assert_allclose(scores, np.einsum("bkd,bd->bk", VECTORS[labels], QUERIES), atol=1e-6)


@pytest.mark.parametrize("k", [1, 100, 5999, 6000])
def test_more_lists_are_read_where_those_hold_fewer_than_are_asked_for(k: int) -> None:
    labels, _ = CompactConfig(lists=150, probes=1).build(VECTORS).search(QUERIES[:3], k)
    assert [len(set(row)) for row in labels.tolist()] == [k] * 3
    assert labels.min() >= 0


def test_probes_are_told_for_a_hundred_items_and_grow_with_k() -> None:
    few, many = (CompactConfig(lists=150, probes=n).build(VECTORS) for n in (2, 10))
    assert recall(many, 500) > 0.97
    assert recall(few, 500) < 0.9


@pytest.mark.parametrize(
    ("poor", "rich"), [({"probes": 1}, {"probes": 30}), ({"overfetch": 1.0}, {"overfetch": 2.0})]
)
def test_probes_and_overfetch_raise_recall(poor: dict[str, int], rich: dict[str, int]) -> None:
    index = CONFIG.build(VECTORS)
    recalls = [
        recall(CONFIG.model_copy(update={"probes": 30, **one}).searching(index), 100)
        for one in (poor, rich)
    ]
    assert recalls[1] > recalls[0] + 0.002


def test_tuning_finds_the_fewest_probes_that_reach_the_target() -> None:
    tuned = tune(VECTORS, kind="compact")
    *missed, last = tuned.curve
    assert tuned.reached
    assert missed
    assert all(rung.recall < 0.99 for rung in missed)
    assert last.config == tuned.config
    assert isinstance(tuned.config, CompactConfig)
    assert tuned.config.probes < tuned.config.lists / 4
    assert recall(tuned.index, 100) >= 0.98
    assert recall(tuned.config.build(VECTORS), 100) >= 0.98


def test_whatever_the_vectors_the_target_is_reached() -> None:
    scattered = clustered_vectors(3000, 64, spread=5.0)
    tuned = tune(scattered, kind="compact", target=0.999, sample=50)
    assert tuned.reached


def test_a_file_is_a_quarter_of_that_of_a_graph_or_less(tmp_path: Path) -> None:
    CONFIG.build(VECTORS).save(tmp_path / "compact")
    HnswConfig(ef_construction=8).build(VECTORS).save(tmp_path / "hnsw")
    assert (tmp_path / "compact").stat().st_size <= 0.25 * (tmp_path / "hnsw").stat().st_size


def test_a_file_of_other_lists_is_refused(tmp_path: Path) -> None:
    sha256 = CONFIG.build(VECTORS).save(tmp_path / "index")
    with pytest.raises(BundleError, match="'lists': 150.*expected.*'lists': 100"):
        CompactConfig().load(tmp_path / "index", sha256=sha256, vectors=VECTORS)


@pytest.mark.parametrize("label", [0, 70, 2**40, -1])
def test_a_file_of_other_labels_is_refused(tmp_path: Path, label: int) -> None:
    path, vectors = tmp_path / "index", VECTORS[:70]  # which is one list
    CompactConfig().build(vectors, threads=1).save(path)
    labels = np.arange(70)
    whole = path.read_bytes()
    assert whole.count(labels.tobytes()) == 1
    others = np.where(labels == 7, label, labels)
    path.write_bytes(whole.replace(labels.tobytes(), others.tobytes()))
    with pytest.raises(BundleError, match="expected each of 70 labels once"):
        CompactConfig().load(path, sha256=sha256_of(path), vectors=vectors)


def test_a_file_of_a_graph_is_refused(tmp_path: Path) -> None:
    sha256 = HnswConfig().build(VECTORS[:100]).save(tmp_path / "index")
    with pytest.raises(BundleError, match="index file"):
        CompactConfig().load(tmp_path / "index", sha256=sha256, vectors=VECTORS[:100])


def test_another_seed_finds_other_centres(tmp_path: Path) -> None:
    digests = {
        CompactConfig(seed=seed).build(VECTORS, threads=1).save(tmp_path / "index")
        for seed in (1, 2)
    }
    assert len(digests) == 2


@pytest.mark.parametrize(
    "options", [{"lists": 0}, {"probes": 0}, {"overfetch": 0.9}, {"overfetch": "nan"}, {"seed": -1}]
)
def test_settings_that_make_no_sense_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=next(iter(options))):
        CompactConfig.model_validate(options)


FORKED = """
import os, sys, threading, time
from pathlib import Path
from export.index.clustered import clustered_vectors, queries_near
from export.index.compact import CompactConfig

def tasks():
    return len(os.listdir("/proc/self/task"))

vectors = clustered_vectors(6000, 64)
queries = queries_near(vectors, 300, seed=3)
before = tasks()
config = CompactConfig()
built = config.build(vectors, threads=4)
loaded = config.load(Path(sys.argv[1]), sha256=built.save(Path(sys.argv[1])), vectors=vectors)
expected = [index.search(queries, 10)[0].tolist() for index in (built, loaded)]
print("threads left", tasks() - before)
if (child := os.fork()) == 0:
    found = []
    def search():
        most = 0
        for index in (built, loaded):
            found.append(index.search(queries, 10)[0].tolist())
            most = max(most, tasks())
        found.append(most)
    thread = threading.Thread(target=search)
    thread.start()
    thread.join(20)
    while thread.is_alive() or tasks() > 1:  # the system's thread ends a moment after Python's
        time.sleep(0.01)
    search()
    assert found == [*expected, 2, *expected, 1], [one for one in found if isinstance(one, int)]
    config.build(vectors, threads=2)
    os._exit(0)
print("forked", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_no_thread_is_left_behind_and_a_fork_searches_with_its_own_alone(tmp_path: Path) -> None:
    command = [sys.executable, "-c", FORKED, str(tmp_path / "index")]
    env = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    env["OMP_NUM_THREADS"] = "4"
    said = subprocess.run(command, capture_output=True, text=True, timeout=60, env=env, check=False)
    assert said.stdout.splitlines() == ["threads left 0", "forked 0"], said.stderr


WITHOUT = """
import sys
sys.modules["faiss"] = None
from export.index import IndexConfig
from export.index.clustered import clustered_vectors
from export.index.tune import tune
vectors = clustered_vectors(2100, 16)
assert tune(vectors, kind="hnsw").reached
try:
    tune(vectors, kind="compact")
except Exception as error:
    print(type(error).__name__, error)
"""


def test_without_faiss_all_else_works_and_the_remedy_is_told() -> None:
    command = [sys.executable, "-c", WITHOUT]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert said.stdout.startswith("BundleError index of kind 'compact'")
    assert said.stdout.endswith("pip install 'firstsight[compact]'\n")


def test_no_index_of_another_kind_imports_faiss() -> None:
    program = "import sys, export.index.tune, service.generation; print('faiss' in sys.modules)"
    command = [sys.executable, "-c", program]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert said.stdout == "False\n"
