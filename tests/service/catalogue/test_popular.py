from hypothesis import given
from hypothesis import strategies as st

from service.catalogue.popular import interleave


def pairs(prefix: str, count: int) -> list[tuple[str, float]]:
    return [(f"{prefix}{n}", 1 / (n + 1)) for n in range(count)]


def test_every_tenth_place_is_fresh() -> None:
    mixed = interleave(iter(pairs("p", 99)), iter(pairs("f", 99)), 30)
    assert [place for place, (one, _) in enumerate(mixed, 1) if one[0] == "f"] == [10, 20, 30]


@given(st.integers(0, 25), st.integers(0, 25), st.integers(1, 60))
def test_nothing_is_lost_or_repeated_while_one_kind_lasts(usual: int, fresh: int, k: int) -> None:
    mixed = interleave(iter(pairs("p", usual)), iter(pairs("f", fresh)), k)
    assert len(mixed) == min(k, usual + fresh)
    assert len(set(mixed)) == len(mixed)
    for prefix in "pf":
        order = [int(one[1:]) for one, _ in mixed if one[0] == prefix]
        assert order == list(range(len(order)))
