"""Schemathesis against a real service: every call of the description, as it knows to ask."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from service.keys.key import new_key
from service.rollout.bundles import publish
from tests.end_to_end.processes import Served
from tests.tiny import tiny_bundle
from tests.tiny_ranker import tiny_ranker

ROOT = Path(__file__).parents[2]
CONFIG = Path(__file__).parent / "schemathesis.toml"


@dataclass(frozen=True)
class Tried:
    """What became of it: how often each call had each status, and what schemathesis says."""

    answered: dict[str, int]
    said: str
    is_good: bool


@contextmanager
def guarded(folder: Path, **settings: object) -> Iterator[tuple[Served, str]]:
    """Serve with a key for everything, a ranker, and two more versions, one of which is broken."""
    key, line = new_key("fuzz", "admin")
    keys = folder / "keys"
    keys.write_text(f"{line}\n")
    served_bundle = tiny_bundle(folder / "bundles", ranker=tiny_ranker)
    publish(folder / "bundles", tiny_bundle(folder / "made", "tiny-2", ranker=tiny_ranker))
    broken = folder / "bundles" / "broken-1"
    shutil.copytree(served_bundle, broken)
    (broken / "manifest.json").write_text("{")
    told = {"keys_file": keys, "audit": "true", "log_level": "WARNING"} | settings
    served = Served(folder / "data", served_bundle, **told)
    try:
        yield served, key
    finally:
        served.kill()


def try_description(served: Served, key: str, folder: Path, *options: str) -> Tried:
    """Have schemathesis try a service; `options` are of its command `run`."""
    reached = folder / "reached.json"
    document = f"http://127.0.0.1:{served.port}/openapi.json"
    words = ["--config-file", str(CONFIG), "run", document, "--no-color", *options]
    done = subprocess.run(
        [sys.executable, "-m", "schemathesis.cli", *words],
        cwd=ROOT,
        env=os.environ | {"FIRSTSIGHT_KEY": key, "REACHED": str(reached)},
        capture_output=True,
        text=True,
    )
    answered: dict[str, int] = json.loads(reached.read_text()) if reached.exists() else {}
    return Tried(answered, done.stdout + done.stderr, done.returncode == 0)
