"""The manifest: what it lists is what lies there, to the last bit."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from export.contract.errors import BundleError
from export.contract.manifest import BundleLayout, check_version, checksum, read_manifest
from tests.export.forged import edit_json, sign

MEMBERS = [
    "schema.json",
    "user_tower.onnx",
    "item_tower.onnx",
    "items.parquet",
    "vectors.npy",
    "golden.json",
    "parity.json",
    "report.html",
    "metrics.json",
    "config.yaml",
]
UNREAD = ("config.yaml", "report.html")  # by what opens a bundle, so it may be without them


def fault_of(bundle: Path) -> str:
    with pytest.raises(BundleError) as error:
        read_manifest(bundle)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_every_file_is_listed_with_its_sum(tiny: Path) -> None:
    manifest = read_manifest(tiny)
    assert sorted(manifest.checksums) == sorted(MEMBERS)
    assert all(checksum(tiny / name) == sha for name, sha in manifest.checksums.items())


@pytest.mark.parametrize("member", MEMBERS)
@given(data=st.data())
@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_flipped_bit_is_refused_by_name(spoilt: Path, member: str, data: st.DataObject) -> None:
    path = spoilt / member
    whole = path.read_bytes() or b"\0"
    bit = data.draw(st.integers(0, 8 * len(whole) - 1))
    spoiled = bytearray(whole)
    spoiled[bit // 8] ^= 1 << bit % 8
    path.write_bytes(spoiled)
    try:
        assert f"member {member} has changed" in fault_of(spoilt)
    finally:
        path.write_bytes(whole)


@pytest.mark.parametrize("member", MEMBERS)
def test_missing_and_cut_members_are_refused_by_name(spoilt: Path, member: str) -> None:
    path = spoilt / member
    path.write_bytes(path.read_bytes()[:-1] if path.stat().st_size else b"x")
    assert f"member {member} has changed" in fault_of(spoilt)
    path.unlink()
    assert f"member {member} is missing" in fault_of(spoilt)


@pytest.mark.parametrize("name", ["users.parquet", "index/main.bin", "user_tower.onnx.data"])
def test_file_that_is_not_listed_is_refused(spoilt: Path, name: str) -> None:
    (spoilt / name).parent.mkdir(exist_ok=True)
    (spoilt / name).write_bytes(b"x")
    assert f"{name} is none of its members" in fault_of(spoilt)


@pytest.mark.parametrize("name", [".DS_Store", ".nfs001", ".cache/x"])
def test_hidden_file_is_overlooked(spoilt: Path, name: str) -> None:
    (spoilt / name).parent.mkdir(exist_ok=True)
    (spoilt / name).write_bytes(b"x")
    read_manifest(spoilt)


@pytest.mark.parametrize("member", ["../x", "../../etc/passwd", "/etc/passwd", "a/../../x", "a\0b"])
def test_member_outside_the_folder_is_refused(spoilt: Path, member: str) -> None:
    (spoilt.parent / "x").write_bytes(b"x")
    sum_of_x = checksum(spoilt.parent / "x")
    edit_json(
        spoilt / "manifest.json",
        lambda content: content | {"checksums": content["checksums"] | {member: sum_of_x}},
    )
    assert f"{member!r} lies outside the bundle" in fault_of(spoilt)


def test_link_that_leads_outside_is_refused(spoilt: Path) -> None:
    outside = (spoilt / "vectors.npy").rename(spoilt.parent / "vectors.npy")
    (spoilt / "vectors.npy").symlink_to(outside)
    assert "'vectors.npy' lies outside the bundle" in fault_of(spoilt)


@pytest.mark.parametrize("member", [one for one in MEMBERS if one not in UNREAD])
def test_required_member_has_to_be_listed(spoilt: Path, member: str) -> None:
    (spoilt / member).unlink()
    sign(spoilt)
    assert f"lists no {member}" in fault_of(spoilt)


@pytest.mark.parametrize("other", [0, 2, "1", None])
def test_other_format_is_named(spoilt: Path, other: object) -> None:
    sign(spoilt, format=other)
    assert f"bundle format {other!r}, this code reads 1" in fault_of(spoilt)


@pytest.mark.parametrize("content", ["", "[]", "null", "3", "{", "[1,", "\x00", '{"format": 1}'])
def test_manifest_that_is_none_is_refused(spoilt: Path, content: str) -> None:
    (spoilt / "manifest.json").write_text(content)
    assert "manifest.json: " in fault_of(spoilt)


@pytest.mark.parametrize(
    "change", [{"dim": "wide"}, {"colour": 1}, {"checksums": ["a"]}, {"version": "../v"}]
)
def test_bad_key_of_the_manifest_is_named(spoilt: Path, change: dict[str, Any]) -> None:
    sign(spoilt, **change)
    assert next(iter(change)) in fault_of(spoilt)


def test_folder_without_manifest_is_no_bundle(tmp_path: Path) -> None:
    assert "no bundle here" in fault_of(tmp_path)
    assert "no bundle here" in fault_of(tmp_path / "absent")


@pytest.mark.parametrize("version", ["1", "kuairand-3", "a" * 64, "2024.01_b", "A"])
def test_version(version: str) -> None:
    assert check_version(version) == version


@pytest.mark.parametrize(
    "version", ["", ".v", "-v", "_v", "a" * 65, "a/b", "a b", "..", "é", "a\n"]
)
def test_no_version(version: str) -> None:
    with pytest.raises(BundleError, match="1 to 64 letters"):
        check_version(version)


def test_manifest_says_where_the_bundle_comes_from(tiny: Path) -> None:
    content = json.loads(BundleLayout(tiny).manifest.read_bytes())
    assert content["version"] == tiny.name == "tiny-1"
    assert content["lineage"]["run"] == "tiny"
    assert content["index"]["settings"] == {"kind": "exact"}
    assert content["index"]["measured_recall"] == 1.0
