"""Asks what is known against the libraries of the images: `python -m deploy.audit`.

Exit codes: 0, nothing; 1, an advisory or a licence that is not on the lists; 2, a list at fault;
3, advisories could not be asked about, of all packages or of some. `--lists` reads the lists alone.
"""

import argparse
import os
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from deploy.audit.advisories import ask, judge
from deploy.audit.licences import faults
from deploy.audit.lists import IGNORED, LICENCES, IgnoredList, LicenceList, ListError, read
from deploy.lock import ENVIRONMENTS, LOCKS, parse

FOUND, MISTAKE, UNASKED = 1, 2, 3
SHIPPED = ("service", "training", "hnswlib", "torch")
"""The locks whose packages are in an image."""
MAKE = ("build", "sbom")
"""Those whose packages make one, or say what it holds, and are in none."""


def locked(names: Iterable[str]) -> dict[str, str]:
    """Return packages and versions of locks, as they are installed in an image."""
    return {
        one.requirement.name: one.version
        for name in names
        for one in parse((LOCKS / f"{name}.txt").read_text("utf-8"))
        if one.is_for(ENVIRONMENTS[0])
    }


def main(arguments: Sequence[str]) -> int:
    """Ask and print; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m deploy.audit", description=__doc__)
    parser.add_argument("--lists", action="store_true", help="read the lists, and ask nobody")
    parser.add_argument("--service", choices=("pypi", "osv"), default="pypi")
    told = parser.parse_args(arguments)
    try:
        ignored, licences = read(IGNORED, IgnoredList), read(LICENCES, LicenceList)
    except ListError as error:
        sys.stderr.write(f"{error}\n")
        return MISTAKE
    return 0 if told.lists else audit(ignored, licences, told.service)


def audit(ignored: IgnoredList, licences: LicenceList, service: str) -> int:
    """Ask about advisories and licences; print what is found; return the exit code."""
    packages = locked((*SHIPPED, *MAKE))
    answer = ask(packages, service, os.environ)
    wrong, known = judge(answer.found, ignored.ignored, datetime.now(UTC).date())
    wrong += faults(locked(SHIPPED), licences)
    for title, lines in (("known", known), ("not asked", answer.unasked), ("WRONG", wrong)):
        for line in lines:
            sys.stdout.write(f"{title}: {line}\n")
    sys.stdout.write(f"{len(packages)} packages, {len(wrong)} wrong; {answer.told}\n")
    return FOUND if wrong else UNASKED if answer.unasked else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
