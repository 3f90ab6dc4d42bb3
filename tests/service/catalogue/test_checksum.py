from random import Random

from hypothesis import given
from hypothesis import strategies as st

from service.catalogue.checksum import Checksum

changes = st.lists(st.tuples(st.text(max_size=4), st.integers(1, 2**40)), max_size=8)


def of(pairs: list[tuple[str, int]]) -> str:
    checksum = Checksum()
    for one, rev in pairs:
        checksum.add(one, rev)
    return str(checksum)


@given(changes, st.randoms())
def test_the_order_does_not_matter_and_what_is_removed_is_as_if_never_added(
    pairs: list[tuple[str, int]], random: Random
) -> None:
    shuffled = list(pairs)
    random.shuffle(shuffled)
    checksum = Checksum()
    checksum.add("more", 7)
    for one, rev in shuffled:
        checksum.add(one, rev)
    checksum.remove("more", 7)
    assert str(checksum) == of(pairs)


def test_an_id_a_rev_and_a_repetition_each_change_it() -> None:
    sums = [of(pairs) for pairs in ([], [("a", 1)], [("a", 2)], [("b", 1)], [("a", 1)] * 2)]
    sums += [of([("1", 11)]), of([("11", 1)]), of([("a", 1), ("b", 2)]), of([("a", 2), ("b", 1)])]
    assert len(set(sums)) == len(sums)
    assert all(len(one) == 16 for one in sums)
