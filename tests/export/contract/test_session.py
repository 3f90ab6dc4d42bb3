"""Models of a bundle, opened."""

from pathlib import Path

import pytest

from export.contract.bundle import BundleLayout
from export.contract.errors import BundleError
from export.contract.session import open_member


@pytest.mark.parametrize("name", [b"strings", b"vector"])
def test_names_that_are_no_text_are_refused(tiny: Path, tmp_path: Path, name: bytes) -> None:
    path = tmp_path / "user_tower.onnx"
    whole = BundleLayout(tiny).tower("user").read_bytes()
    path.write_bytes(whole.replace(name, name[:-1] + b"\xe8"))
    with pytest.raises(BundleError, match=r"user_tower\.onnx: .*codec"):
        open_member(path)
