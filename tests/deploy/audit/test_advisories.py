"""What pip-audit says becomes what is wrong; what it could not ask is never taken for well."""

import json
import os
from collections.abc import Mapping
from datetime import date

from deploy.audit.advisories import Advisory, Answer, ask, judge, parse
from deploy.audit.lists import Ignored

BAD = {"id": "PYSEC-2026-1", "fix_versions": ["1.1"], "aliases": ["CVE-2026-1", "GHSA-a-b-c"]}
FOUND = Advisory("leaf", "1", frozenset({"PYSEC-2026-1", "CVE-2026-1", "GHSA-a-b-c"}), ("1.1",))
TODAY = date(2026, 2, 1)


def borne(id: str = "CVE-2026-1", until: date = TODAY, package: str = "leaf") -> Ignored:
    told = {"package": package, "reason": "We never parse that.", "added": date(2026, 1, 1)}
    return Ignored.model_validate(told | {"id": id, "until": until})


def said(*packages: Mapping[str, object]) -> str:
    return json.dumps({"dependencies": packages, "fixes": []})


def test_what_is_found_has_all_its_names() -> None:
    well = {"name": "twig", "version": "2", "vulns": []}
    answer = parse(said({"name": "leaf", "version": "1", "vulns": [BAD]}, well), "")
    assert answer == Answer((FOUND,), ())
    assert answer.told == "all asked about"


def test_what_was_skipped_was_not_asked_about() -> None:
    skipped = {"name": "twig", "skip_reason": "twig is not known"}
    answer = parse(said({"name": "leaf", "version": "1", "vulns": []}, skipped), "")
    assert answer == Answer((), ("twig is not known",))
    assert answer.told == "1 not asked about"


def test_where_all_was_skipped_nobody_was_asked() -> None:
    skipped = {"name": "twig", "skip_reason": "twig is not known"}
    answer = parse(said(skipped, skipped), "")
    assert answer.told == "NOBODY COULD BE ASKED FOR ADVISORIES"


def test_a_failure_is_no_answer() -> None:
    for out in ("", "null", "{}", "Traceback"):
        answer = parse(out, "what went before\nConnection refused")
        assert answer == Answer((), ("everything: Connection refused",))
        assert answer.told == "NOBODY COULD BE ASKED FOR ADVISORIES"


def test_a_service_that_does_not_answer_is_told() -> None:
    away = "http://127.0.0.1:9"
    environ = {**os.environ, "HTTPS_PROXY": away, "HTTP_PROXY": away, "ALL_PROXY": away}
    answer = ask({"leaf": "1"}, "osv", environ)
    assert answer.found == ()
    assert answer.told == "NOBODY COULD BE ASKED FOR ADVISORIES"


def test_an_advisory_is_wrong_unless_it_is_borne_by_any_of_its_names() -> None:
    assert judge([FOUND], [], TODAY)[0] == [
        "leaf 1: CVE-2026-1, GHSA-a-b-c, PYSEC-2026-1; fixed in 1.1"
    ]
    for name in FOUND.names:
        wrong, [known] = judge([FOUND], [borne(name)], TODAY)
        assert (wrong, known.endswith("borne until 2026-02-01: We never parse that.")) == ([], True)


def test_after_its_day_it_is_wrong_again() -> None:
    [wrong], known = judge([FOUND], [borne(until=date(2026, 1, 31))], TODAY)
    assert wrong.endswith("; was borne until 2026-01-31")
    assert known == []


def test_a_line_for_another_package_bears_nothing_and_is_told() -> None:
    [wrong], [known] = judge([FOUND], [borne(package="twig")], TODAY)
    assert wrong.startswith("leaf 1")
    assert known == "CVE-2026-1 of twig is borne for nothing"
