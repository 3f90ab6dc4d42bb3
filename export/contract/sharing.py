"""Which features look their rows up in which table; equal names share one, on both sides."""

from collections.abc import Iterable

from export.contract.features import FeatureKind
from export.contract.side import Side, SideName

Users = dict[str, list[tuple[SideName, str]]]  # tables, and who uses each: (side, feature)


def table_of(side: SideName, name: str, feature: FeatureKind) -> str:
    """Return the table of a feature: the one it names, else one of its own."""
    return getattr(feature, "table", None) or f"{side}.{name}"


def table_users(sides: Iterable[tuple[SideName, Side]]) -> Users:
    """Return every table and the (side, feature) pairs whose rows it holds."""
    users: Users = {}
    for side_name, side in sides:
        for name, feature in side.features.items():
            if feature.form in ("id", "bag"):
                users.setdefault(table_of(side_name, name, feature), []).append((side_name, name))
    return users


def shared_tables(sides: Iterable[tuple[SideName, Side]]) -> Users:
    """Return every table with a list of words and the (side, feature) pairs that use it."""
    known = dict(sides)
    return {
        table: users
        for table, users in table_users(known.items()).items()
        if known[users[0][0]].features[users[0][1]].own_rows() is None
    }


def check_tables(sides: Iterable[tuple[SideName, Side]]) -> None:
    """Check that the features of each table agree on which row a word has.

    Raises:
        ValueError: Two do not; names both.

    """
    known = dict(sides)
    for table, users in table_users(known.items()).items():
        by = {f"{s}.{n}": known[s].features[n].rows_by for s, n in users}
        first = next(iter(by))
        for other, rows in by.items():
            if rows != by[first]:
                said = " and ".join(
                    ", ".join(str(one) for one in way if one is not None)
                    for way in (by[first], rows)
                )
                raise ValueError(
                    f"{first} and {other} share table {table!r}, but not its vocabulary; got {said}"
                )
