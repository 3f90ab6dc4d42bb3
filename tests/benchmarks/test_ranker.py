from argparse import Namespace
from pathlib import Path

import pytest

from benchmarks.ranker import measure
from export.contract.errors import ConfigError
from tests.tiny import tiny_bundle
from tests.tiny_ranker import tiny_ranker


@pytest.fixture(scope="module")
def ranked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bundle(tmp_path_factory.mktemp("ranked"), "ranked-1", ranker=tiny_ranker)


def asked(bundle: Path, k: int = 10) -> Namespace:
    return Namespace(bundle=bundle, k=k, history=5, rounds=4)


def test_ranking_is_timed_as_a_whole_and_its_run_alone(ranked: Path) -> None:
    found = measure(asked(ranked))
    assert (found["kind"], found["dim"]) == ("din", 6)
    assert found["p50_ms_of_the_run_alone"] > 0
    assert found["p50_cpu_ms"] > 0


def test_a_bundle_without_a_ranker_or_with_too_few_items_is_refused(
    ranked: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="fewer than asked for"):
        measure(asked(ranked, k=10_000))
    with pytest.raises(ConfigError, match="has no ranker"):
        measure(asked(tiny_bundle(tmp_path, "plain-1")))
