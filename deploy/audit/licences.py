"""Which licences the libraries of the images have, by the metadata that is installed."""

import re
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageMetadata, PackageNotFoundError, metadata
from typing import Final

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

from deploy.audit.lists import LicenceList

CLASSIFIERS: Final = {
    "Apache Software License": "Apache-2.0",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
}
"""Those that name one licence; "BSD License", say, is any of several."""


def licence_of(told: PackageMetadata) -> str | None:
    """Return the SPDX expression that a package's metadata says; None: it says none."""
    for field in ("License-Expression", "License"):
        [said, *_] = told.get_all(field) or [""]
        try:
            return str(canonicalize_license_expression(said))
        except InvalidLicenseExpression:
            continue
    named = [
        one.split(" :: ")[-1] for one in told.get_all("Classifier") or () if "License ::" in one
    ]
    known = [CLASSIFIERS[one] for one in named if one in CLASSIFIERS]
    return " AND ".join(known) if named and len(known) == len(named) else None


def names_in(expression: str) -> set[str]:
    """Return the licences that an expression names, each with its exception if it has one."""
    return set(re.findall(r"[\w.+-]+(?: WITH [\w.-]+)?", expression)) - {"AND", "OR"}


def faults(packages: Iterable[str], lists: LicenceList) -> Iterator[str]:
    """Say which packages have a licence that is not allowed, or none that can be told.

    Of what a package may be had under by choice (`OR`) each has to be allowed.
    """
    told = {one.package: one.licence for one in lists.told}
    for package in packages:
        try:
            licence = told.get(package) or licence_of(metadata(package))
        except PackageNotFoundError:
            yield f"{package}: is not installed, so its licence cannot be read"
            continue
        if licence is None:
            yield f"{package}: its metadata says no licence by an SPDX name"
        elif others := names_in(licence) - set(lists.allowed):
            yield f"{package}: {licence}, of which {', '.join(sorted(others))} is not allowed"
