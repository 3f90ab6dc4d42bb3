"""Files of keys, changed: each is read, or refused by a line of ours that tells nothing of it."""

import random
import time

from export.contract.errors import ConfigError
from service.keys.key import new_key, parse_keys
from tests.fuzz.mutations import mutate_bytes


def try_keys(rng: random.Random, seconds: float) -> str:
    """Read changed files for a while; return what became of them.

    Raises:
        AssertionError: A refusal tells of what it refused.

    """
    lines = [new_key(f"key-{number}", "recall,write")[1] for number in range(5)]
    whole = "\n".join(["# keys", *lines, ""]).encode()
    until_s, read, refused = time.monotonic() + seconds, 0, 0
    while time.monotonic() < until_s:
        refusal = _refusal(mutate_bytes(whole, rng).decode("utf-8", "replace"))
        read, refused = read + (refusal is None), refused + (refusal is not None)
        assert not any(line.split()[2][:16] in (refusal or "") for line in lines), refusal
    return f"{read} files of keys read, {refused} refused"


def _refusal(text: str) -> str | None:
    try:
        parse_keys(text)
    except ConfigError as error:
        return str(error)
    return None
