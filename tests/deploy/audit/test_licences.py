"""Licences of what is in the images: by SPDX, allowed by name, and never guessed."""

from email.message import Message
from typing import Any

import pytest

from deploy.audit.__main__ import SHIPPED, locked
from deploy.audit.licences import faults, licence_of, names_in
from deploy.audit.lists import LICENCES, LicenceList, Told, read


def metadata(**fields: str) -> Any:
    told = Message()
    for name, value in fields.items():
        told[name.replace("_", "-")] = value
    return told


def test_what_the_images_hold_is_allowed() -> None:
    assert [*faults(locked(SHIPPED), read(LICENCES, LicenceList))] == []


def test_nothing_is_told_of_what_is_not_in_an_image_or_says_it_itself() -> None:
    lists, shipped = read(LICENCES, LicenceList), locked(SHIPPED)
    assert {one.package for one in lists.told} <= shipped.keys()
    bare = LicenceList(allowed=lists.allowed)
    assert len([*faults((one.package for one in lists.told), bare)]) == len(lists.told)


MIT, BSD = "License :: OSI Approved :: MIT License", "License :: OSI Approved :: BSD License"


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"License_Expression": "mit or apache-2.0"}, "MIT OR Apache-2.0"),
        ({"License": "MPL-2.0 AND MIT", "Classifier": BSD}, "MPL-2.0 AND MIT"),
        ({"License": "as you like", "Classifier": MIT}, "MIT"),
        ({"Classifier": BSD}, None),
        ({"License": "BSD License"}, None),
        ({}, None),
    ],
)
def test_a_licence_is_read_where_it_is_said_and_not_guessed(
    fields: dict[str, str], told: str | None
) -> None:
    assert licence_of(metadata(**fields)) == told


def test_one_classifier_that_is_not_known_makes_all_unknown() -> None:
    told = metadata(Classifier=MIT)
    told["Classifier"] = BSD
    assert licence_of(told) is None


def test_an_exception_belongs_to_its_licence() -> None:
    expression = "MIT AND (GPL-3.0-or-later WITH GCC-exception-3.1 OR ISC)"
    assert names_in(expression) == {"MIT", "ISC", "GPL-3.0-or-later WITH GCC-exception-3.1"}


def test_what_is_not_allowed_not_known_or_not_there_is_told() -> None:
    reason = "It was read there."
    lists = LicenceList(
        allowed=("MIT",), told=(Told(package="rich", licence="AGPL-3.0-only", reason=reason),)
    )
    found = [*faults(["pydantic", "rich", "hnswlib", "nosuch-package"], lists)]
    assert found == [
        "rich: AGPL-3.0-only, of which AGPL-3.0-only is not allowed",
        "hnswlib: its metadata says no licence by an SPDX name",
        "nosuch-package: is not installed, so its licence cannot be read",
    ]
