import pytest

from benchmarks.peers.__main__ import ratios
from benchmarks.recall_http.load import Seen


def seen(cpu_us: float, p99_ms: float) -> Seen:
    figures = dict.fromkeys(Seen.model_fields, 1)
    return Seen.model_validate({**figures, "cpu_us": cpu_us, "p99_ms": p99_ms})


def test_a_peer_is_held_against_ours_in_the_same_round_and_load() -> None:
    rounds = [
        {"ours c=8": seen(100, 2), "faiss c=8": seen(150, 1)},
        {"ours c=8": seen(200, 2), "faiss c=8": seen(240, 1)},
        {"ours c=8": seen(100, 2), "faiss c=8": seen(400, 1)},
    ]
    cpu, p99 = ratios(rounds)
    assert cpu["ratio"] == "CPU of a recall over ours, faiss c=8"
    assert (cpu["least"], cpu["median"], cpu["most"]) == pytest.approx((1.2, 1.5, 4.0))
    assert (cpu["is"], p99["median"], p99["is"]) == ("met", 0.5, "missed")
