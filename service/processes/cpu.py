"""Refuses a processor that lacks what hnswlib was compiled for, before hnswlib ends the process.

A portable build of hnswlib is compiled for a level of x86-64; on a processor below it the first
search ends in SIGILL, without a word. An image therefore says its level in the environment.
Nothing native is imported here.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from export.contract.errors import ConfigError

NAME: Final = "HNSWLIB_CPU_LEVEL"
CPUINFO: Final = Path("/proc/cpuinfo")

# What a level adds to the one before, as Linux spells it (System V ABI for AMD64, 3.1.1):
# pni is SSE3, abm is LZCNT.
ADDED: Final = {
    "x86-64": "cx8 fxsr mmx sse sse2",
    "x86-64-v2": "cx16 lahf_lm pni popcnt sse4_1 sse4_2 ssse3",
    "x86-64-v3": "abm avx avx2 bmi1 bmi2 f16c fma movbe xsave",
    "x86-64-v4": "avx512bw avx512cd avx512dq avx512f avx512vl",
}


class UnfitCpu(Exception):
    """This machine cannot run what is installed; the message is the one line that says why."""

    exit_code = 3


def refuse_unfit_cpu(environ: Mapping[str, str] = os.environ, cpuinfo: Path = CPUINFO) -> None:
    """Check the processor against HNSWLIB_CPU_LEVEL; without that name, or with "", nothing.

    Raises:
        UnfitCpu: The processor lacks something; the line names what.
        ConfigError: The name holds no level.

    """
    level = environ.get(NAME)
    if not level:
        return
    if level not in ADDED:
        raise ConfigError(f"{NAME}: got {level!r}, expected one of {', '.join(ADDED)}")
    has = _flags(cpuinfo.read_text("utf-8", "replace"))
    if missing := sorted(needs(level) - has):
        lacks = " ".join(missing) if has else "all of it: it tells no x86-64 flags"
        raise UnfitCpu(
            f"hnswlib was built for {level}, and this machine's processor lacks {lacks}; "
            "build the image with a lower CPU_LEVEL (docs/deploy.md)"
        )


def needs(level: str) -> set[str]:
    """Return the flags that a level and all below it ask for."""
    below = list(ADDED)[: list(ADDED).index(level) + 1]
    return {flag for one in below for flag in ADDED[one].split()}


def _flags(cpuinfo: str) -> set[str]:
    """Return the flags of the first processor; all of a machine have the same."""
    for line in cpuinfo.splitlines():
        name, _, told = line.partition(":")
        if name.strip() == "flags":
            return set(told.split())
    return set()
