"""The ring: a key lets in while its line is in the file, and a broken file changes nothing."""

import logging
from pathlib import Path

import pytest
from prometheus_client import REGISTRY
from pydantic import SecretStr

from service.keys.key import new_key
from service.keys.ring import TOKEN_NAME, KeyRing
from service.settings import Settings

OLD, OLD_LINE = new_key("old", "recall")
NEW, NEW_LINE = new_key("new", "recall,write")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "keys"
    path.write_text(OLD_LINE)
    return path


def found(ring: KeyRing, text: str) -> str | None:
    key = ring.find(text.encode())
    return None if key is None else key.name


def refused() -> float | None:
    return REGISTRY.get_sample_value("firstsight_keys_refused")


def test_old_and_new_let_in_together_until_the_old_line_goes(path: Path) -> None:
    ring = KeyRing(Settings(keys_file=path))
    assert (found(ring, OLD), found(ring, NEW)) == ("old", None)
    path.write_text(f"{OLD_LINE}\n{NEW_LINE}")
    assert found(ring, NEW) is None
    ring.look()
    assert (found(ring, OLD), found(ring, NEW)) == ("old", "new")
    path.write_text(NEW_LINE)
    ring.look()
    assert (found(ring, OLD), found(ring, NEW)) == (None, "new")


def test_a_broken_file_keeps_the_keys_and_is_told_once(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ring = KeyRing(Settings(keys_file=path))
    assert refused() == 0
    path.write_text(f"{NEW_LINE}\nhalf a li")
    ring.look()
    ring.look()
    assert (found(ring, OLD), found(ring, NEW), refused()) == ("old", None, 1)
    [record] = [one for one in caplog.records if one.levelno == logging.ERROR]
    assert "line 2" in str(vars(record)["reason"])
    path.unlink()
    ring.look()
    assert (found(ring, OLD), refused()) == ("old", 1)
    path.write_text(NEW_LINE)
    ring.look()
    assert (found(ring, OLD), found(ring, NEW), refused()) == (None, "new", 0)


def test_a_ring_that_never_read_its_file_lets_nobody_in_until_it_can(path: Path) -> None:
    path.write_text("nonsense")
    ring = KeyRing(Settings(keys_file=path))
    assert ring.asks
    assert found(ring, OLD) is None
    path.write_text(OLD_LINE)
    ring.look()
    assert found(ring, OLD) == "old"


def test_a_file_without_a_line_lets_nobody_in(path: Path) -> None:
    path.write_text("# none yet\n")
    ring = KeyRing(Settings(keys_file=path))
    assert ring.asks
    assert found(ring, OLD) is None


def test_the_token_is_a_key_beside_those_of_the_file(path: Path) -> None:
    ring = KeyRing(Settings(keys_file=path, admin_token=SecretStr("0123456789abcdef")))
    for _ in range(2):
        assert found(ring, "0123456789abcdef") == TOKEN_NAME
        assert found(ring, OLD) == "old"
        path.write_text(f"{OLD_LINE}\n{NEW_LINE}")
        ring.look()
    assert found(ring, NEW) == "new"


def test_only_the_whole_key_is_one(path: Path) -> None:
    ring = KeyRing(Settings(keys_file=path))
    for text in ("", OLD[:-1], f"{OLD}x", OLD_LINE, OLD_LINE.split()[-1], OLD.upper()):
        assert found(ring, text) is None


def test_without_file_and_token_no_key_is_asked_for() -> None:
    assert not KeyRing(Settings()).asks
