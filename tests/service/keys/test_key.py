"""Keys: what their file may say, and what is kept of them."""

import re
from pathlib import Path

import pytest

import firstsight
from export.contract.errors import ConfigError
from service.keys.key import Key, check_keys, digest_of, new_key, parse_keys, read_keys
from service.settings import Settings

DIGEST = "ab" * 32


def test_a_new_key_is_found_by_its_line_and_the_line_does_not_hold_it() -> None:
    text, line = new_key("shop", "write,recall")
    assert re.fullmatch(r"fs_[A-Za-z0-9_-]{43}", text)
    assert text[3:] not in line
    [key] = parse_keys(line)
    assert key == Key("shop", frozenset({"recall", "write"}), digest_of(text.encode()))
    assert new_key("shop", "recall")[0] != text


def test_an_administrator_has_all_scopes() -> None:
    [key] = parse_keys(f"ops admin {DIGEST}")
    assert key.scopes == {"recall", "write", "admin"}


def test_empty_lines_and_comments_are_no_keys() -> None:
    [one, two] = parse_keys(f"# keys\n\n a recall {DIGEST} # of the shop\nb write {'cd' * 32}\n")
    assert (one.name, two.name) == ("a", "b")
    assert parse_keys("") == ()


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("shop", "a name, its scopes, and 64 hexadecimal digits"),
        (f"shop recall {DIGEST} more", "a name, its scopes, and 64 hexadecimal digits"),
        (f"shop recall {DIGEST[:-1]}", "a name, its scopes, and 64 hexadecimal digits"),
        (f"shop recall {DIGEST.upper()}", "a name, its scopes, and 64 hexadecimal digits"),
        (f"Shop recall {DIGEST}", "the name cannot be used"),
        (f"{'s' * 65} recall {DIGEST}", "the name cannot be used"),
        (f"shop read {DIGEST}", "expected some of recall, write, admin"),
        (f"shop , {DIGEST}", "expected some of recall, write, admin"),
        (f"first write {'cd' * 32}", "the name of an earlier line"),
        (f"shop write {'ef' * 32}", "the key of an earlier line"),
    ],
)
def test_a_line_that_is_no_key_is_told_by_its_number_and_nothing_of_it(
    line: str, reason: str
) -> None:
    with pytest.raises(ConfigError, match=f"line 3: .*{reason}") as caught:
        parse_keys(f"first recall {'ef' * 32}\n\n{line}\n")
    assert DIGEST[:-1] not in str(caught.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="FIRSTSIGHT_KEYS_FILE: .*none: No such file"):
        read_keys(tmp_path / "none")
    (tmp_path / "bytes").write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="bytes: it is no UTF-8"):
        read_keys(tmp_path / "bytes")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.7", "service.internal"])
def test_a_service_that_others_reach_does_not_start_without_a_key(
    host: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert firstsight.run(["serve", "--host", host]) == 2
    assert f"FIRSTSIGHT_HOST: {host} is reached by others, and there is no key" in (
        capsys.readouterr().err
    )
    monkeypatch.setenv("FIRSTSIGHT_KEYS_FILE", str(tmp_path / "none"))
    assert firstsight.run(["serve", "--host", host]) == 2
    assert "none: No such file" in capsys.readouterr().err
    (tmp_path / "keys").write_text(f"ops admin {DIGEST}\n")
    check_keys(Settings(host=host, keys_file=tmp_path / "keys"))
    check_keys(Settings.model_validate({"host": host, "admin_token": "0123456789abcdef"}))
    check_keys(Settings(host="127.0.0.1"))


def test_the_command_prints_the_key_apart_from_the_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert firstsight.run(["keys", "new", "shop", "--scopes", "recall,write"]) == 0
    told = capsys.readouterr()
    [key] = parse_keys(told.out)
    assert key.digest == digest_of(told.err.split()[-1].encode())
    assert firstsight.run(["keys", "new", "shop", "--scopes", "all"]) == 2
    assert "expected some of recall, write, admin" in capsys.readouterr().err
