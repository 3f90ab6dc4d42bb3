"""The page of indexes names every member of the family, its options and their defaults."""

from pathlib import Path

import pytest

from export.index.base import IndexSettings
from tests.export.index.test_index_members import MEMBERS

PAGE = Path(__file__).parents[2] / "docs" / "index.md"


@pytest.mark.parametrize("member", MEMBERS)
def test_every_option_of_a_member_is_there_with_its_default(member: type[IndexSettings]) -> None:
    rows = [line.split(" | ") for line in PAGE.read_text("utf-8").splitlines() if line[:1] == "|"]
    kind = member.model_fields["kind"].default
    first = next(at for at, row in enumerate(rows) if row[0] == f"| `{kind}`")
    options = [name for name in member.model_fields if name != "kind"]
    for at, name in enumerate(options):
        row = [cell.strip("| ") for cell in rows[first + at]]
        told = [cell for cell in row if cell][1 if at == 0 else 0 :]
        assert told[:2] == [f"`{name}`", f"{member.model_fields[name].default:g}"]
