from pathlib import Path

import pytest

from export.contract.errors import Fault, RecordError
from service import errors
from service.errors import LEAVES, Internal, InvalidRecord, Problem, as_problem
from service.http.examples import EXAMPLES
from service.payloads import ProblemBody
from service.store import StoreUnavailable

DOC = Path(__file__).parents[2] / "docs" / "errors.md"


def test_every_problem_has_a_section_in_the_docs_with_its_status() -> None:
    text = DOC.read_text()
    sections = {part.partition("\n")[0]: part for part in text.split("\n## ")[1:]}
    assert sections.keys() == {problem.type for problem in LEAVES} | {"Of the gateway"}
    for problem in LEAVES:
        assert str(problem.status) in sections[problem.type].splitlines()[2]


def test_every_problem_is_drawn_in_the_tree() -> None:
    drawn = errors.__doc__ or ""
    for problem in LEAVES:
        [line] = [line for line in drawn.splitlines() if f" {problem.type} " in f"{line} "]
        assert line.split()[1] == problem.__name__
        assert str(problem.status) in line


@pytest.mark.parametrize("problem", LEAVES)
def test_every_problem_has_the_members_of_the_rfc(problem: type[Problem]) -> None:
    body = ProblemBody.model_validate(EXAMPLES[problem].body())
    assert (body.status, body.type) == (problem.status, f"/docs#{problem.type}")
    assert body.title
    assert body.detail


def test_a_record_error_names_each_feature() -> None:
    problem = as_problem(RecordError([Fault.of("age", "old", "a number"), Fault.of("b", 1, "x")]))
    assert isinstance(problem, InvalidRecord)
    assert problem.members["errors"] == [
        {"feature": "age", "got": "'old'", "expected": "a number"},
        {"feature": "b", "got": "1", "expected": "x"},
    ]


def test_a_store_that_does_not_answer_is_no_fault_of_the_service() -> None:
    assert as_problem(StoreUnavailable("ConnectionError: secret host")).status == 503


def test_anything_else_tells_nothing_of_its_cause() -> None:
    problem = as_problem(RuntimeError("secret"))
    assert isinstance(problem, Internal)
    assert "secret" not in str(problem.body())
