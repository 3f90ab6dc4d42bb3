"""Bundles that were tampered with: members changed, the manifest written anew to match."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from export.contract.manifest import checksums


def copied(bundle: Path, folder: Path) -> Path:
    """Copy a bundle into a folder, under the same name."""
    return Path(shutil.copytree(bundle, folder / bundle.name))


def edit_json(path: Path, change: Callable[[Any], Any]) -> None:
    """Replace a JSON file by what `change` makes of its content."""
    path.write_text(json.dumps(change(json.loads(path.read_bytes()))))


def sign(bundle: Path, **members: Any) -> None:
    """Write the manifest anew, with the checksums of what lies there now."""
    sums = {"checksums": checksums(bundle)}
    edit_json(bundle / "manifest.json", lambda manifest: manifest | sums | members)


def names_in(folder: Path) -> list[str]:
    """Return the names of what lies in a folder, hidden or not."""
    return sorted(path.name for path in folder.iterdir())
