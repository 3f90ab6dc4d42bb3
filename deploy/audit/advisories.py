"""What advisories are known against locked libraries, asked by pip-audit."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from datetime import date
from typing import NamedTuple

from deploy.audit.lists import Ignored

DEADLINE_S = 300
EVERYTHING = "everything"


class Advisory(NamedTuple):
    """One advisory against a package; its names are those of one thing."""

    package: str
    version: str
    names: frozenset[str]
    fixed_in: tuple[str, ...]

    def __str__(self) -> str:
        fixed = f"fixed in {', '.join(self.fixed_in)}" if self.fixed_in else "no fix yet"
        return f"{self.package} {self.version}: {', '.join(sorted(self.names))}; {fixed}"


class Answer(NamedTuple):
    """What was found, and what could not be asked: a package or everything, and why."""

    found: tuple[Advisory, ...]
    unasked: tuple[str, ...]

    @property
    def told(self) -> str:
        """How far it goes."""
        if any(line.startswith(EVERYTHING) for line in self.unasked):
            return "NOBODY COULD BE ASKED FOR ADVISORIES"
        return f"{len(self.unasked)} not asked about" if self.unasked else "all asked about"


def ask(locked: Mapping[str, str], service: str, environ: Mapping[str, str]) -> Answer:
    """Ask a service of advisories about packages by version; `+cpu` and such is left away.

    pip-audit skips what the service does not know, and says that nothing is known against it; here
    that is what could not be asked.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.writelines(f"{one}=={told.partition('+')[0]}\n" for one, told in locked.items())
        file.flush()
        command = [
            *(sys.executable, "-m", "pip_audit", "--vulnerability-service", service),
            *("--requirement", file.name, "--no-deps", "--disable-pip", "--format", "json"),
            *("--progress-spinner", "off", "--desc", "off", "--aliases", "on"),
        ]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, env=dict(environ), timeout=DEADLINE_S
            )
        except subprocess.TimeoutExpired:
            return Answer((), (f"{EVERYTHING}: no answer within {DEADLINE_S} s",))
    return parse(done.stdout, done.stderr)


def parse(out: str, err: str) -> Answer:
    """Read what pip-audit said; its exit code is 1 both for what is found and for a failure."""
    try:
        told = json.loads(out)["dependencies"]
    except (ValueError, KeyError, TypeError):
        lines = err.strip().splitlines() or ["it said nothing"]
        return Answer((), (f"{EVERYTHING}: {lines[-1]:.300}",))
    found = tuple(
        Advisory(
            one["name"],
            one["version"],
            frozenset([bad["id"], *bad["aliases"]]),
            tuple(bad["fix_versions"]),
        )
        for one in told
        for bad in one.get("vulns", ())
    )
    skipped = tuple(one["skip_reason"] for one in told if "skip_reason" in one)
    if told and len(skipped) == len(told):
        skipped = (f"{EVERYTHING}: {skipped[0]}, and so all others",)
    return Answer(found, skipped)


def judge(
    found: Sequence[Advisory], ignored: Sequence[Ignored], today: date
) -> tuple[list[str], list[str]]:
    """Return what is to be mended, and what is to be known: borne, and lines for nothing."""
    wrong, known, used = [], [], set()
    for one in found:
        lines = [line for line in ignored if line.package == one.package and line.id in one.names]
        used.update(lines)
        if good := next((line for line in lines if today <= line.until), None):
            known.append(f"{one}; borne until {good.until}: {good.reason}")
        else:
            was = "".join(f"; was borne until {line.until}" for line in lines)
            wrong.append(f"{one}{was}")
    known += [
        f"{line.id} of {line.package} is borne for nothing" for line in ignored if line not in used
    ]
    return wrong, known
