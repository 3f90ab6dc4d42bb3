from pathlib import Path

import pytest

from deploy.size import main


@pytest.fixture
def site(tmp_path: Path) -> Path:
    for name, size in (("small", 1 << 20), ("large", 3 << 20), ("firstsight", 1 << 19)):
        (tmp_path / f"{name}.so").write_bytes(bytes(size))
        told = tmp_path / f"{name}-1.dist-info"
        told.mkdir()
        (told / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
        (told / "RECORD").write_text(f"{name}.so,,\n{name}.so,,\n{name}-gone.so,,\n")
    return tmp_path


def test_what_is_there_is_counted_once_the_largest_first(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(site)]) == 0
    lines = [line.split(maxsplit=2) for line in capsys.readouterr().out.splitlines()]
    assert [(size, name) for size, _, name in lines] == [
        ("3.0", "large"),
        ("1.0", "small"),
        ("0.5", "firstsight"),
        ("4.0", "layer: libraries"),
        ("0.5", "layer: wheel"),
        ("4.5", "in all, without the base image"),
    ]


@pytest.mark.parametrize(("limit", "code"), [("4.5", 0), ("4.4", 1)])
def test_more_than_allowed_fails(site: Path, limit: str, code: int) -> None:
    assert main([str(site), "--at-most", limit]) == code


def test_no_folder_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="2"):
        main([str(tmp_path / "nowhere")])
