import re
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import ValidationError

from export.contract.statistics import Aggregate, Statistic, UserVectors
from service.errors import LEAVES
from service.http.docs_page import docs_page
from service.http.openapi import HEADERS, document, main, text
from service.http.operations import OPERATIONS, Operation
from service.payloads import ReadyState

DOC = Path(__file__).parents[3] / "docs"


def test_the_document_in_the_docs_is_that_of_the_code() -> None:
    assert (DOC / "openapi.json").read_text() == text(), "write it with `make openapi`"


def test_the_page_names_each_state_of_readiness_and_no_other() -> None:
    page = (DOC / "http.md").read_text()
    [row] = [line for line in page.splitlines() if line.startswith("| `GET /readyz` |")]
    assert {*re.findall(r"`([a-z]+)`", row)} == {*get_args(ReadyState)}


def test_a_document_out_of_date_is_found_and_mended(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "openapi.json"
    assert main(["--check", str(path)]) == 1
    assert main([str(path)]) == 0
    assert main(["--check", str(path)]) == 0
    path.write_text(path.read_text() + "\n")
    assert main(["--check", str(path)]) == 1
    assert "make openapi" in capsys.readouterr().err
    assert main(["--nonsense"]) == 2


def test_every_reference_leads_somewhere() -> None:
    described = document()

    def references(value: Any) -> list[str]:
        if isinstance(value, dict):
            own = [value["$ref"]] if "$ref" in value else []
            return own + [ref for one in value.values() for ref in references(one)]
        return [ref for one in value for ref in references(one)] if isinstance(value, list) else []

    for reference in set(references(described)):
        _, components, kind, name = reference.split("/")
        assert name in described[components][kind]


def test_every_link_leads_to_a_call_and_names_its_parameters() -> None:
    named = {operation.name: operation for operation in OPERATIONS}
    links = [
        link
        for operation in OPERATIONS
        for answer in operation.answers.values()
        for link in answer.links.values()
    ]
    assert len(links) > 20
    for link in links:
        assert link.parameters.keys() <= {one.name for one in named[link.operation].parameters}


def test_every_header_that_is_told_is_described() -> None:
    heads = {name for problem in LEAVES for name in problem.told}
    heads |= {name for one in OPERATIONS for a in one.answers.values() for name in a.headers}
    assert heads | {"X-Request-Id"} == HEADERS.keys()


def test_a_history_is_said_to_replace_what_it_replaces() -> None:
    union, _ = get_args(Statistic)
    kinds = [kind for kind in get_args(union) if kind.takes_history is not Aggregate.takes_history]
    of_users = [kind for kind in kinds if kind is not UserVectors]
    expected = {kind.model_fields["aggregate"].default for kind in of_users}
    for model in ("RecallBody", "EmbedUser"):
        said = document()["components"]["schemas"][model]["properties"]["history"]["description"]
        assert set(re.findall("`([a-z_]+)`", said)) == expected


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: one.name)
def test_every_example_is_what_its_schema_says(operation: Operation) -> None:
    pairs = [(operation.body, operation.bodies)]
    pairs += [(answer.models, answer.examples) for answer in operation.answers.values()]
    for models, examples in pairs:
        assert bool(models) == bool(examples)
        for example in examples.values():
            good = [model for model in models if _fits(model, example)]
            assert good, example


def _fits(model: Any, example: object) -> bool:
    try:
        model.model_validate(example)
    except ValidationError:
        return False
    return True


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: one.name)
def test_every_status_is_described_in_words(operation: Operation) -> None:
    described = document()["paths"][operation.path][operation.method.lower()]
    statuses = {str(status) for status in operation.answers}
    statuses |= {str(problem.status) for problem in operation.refusals} | {"500"}
    assert described["responses"].keys() == statuses
    assert all(answer["description"] for answer in described["responses"].values())
    in_path = {part[1:-1] for part in operation.path.split("/") if part.startswith("{")}
    named = {one["name"] for one in described.get("parameters", []) if one["in"] == "path"}
    assert named == in_path


def test_what_is_not_built_yet_is_not_described() -> None:
    described = document()
    for later in ("/events", "/audience", "/console"):
        assert later not in described["paths"]
        assert later not in text()


def test_the_page_tells_of_every_call_and_problem() -> None:
    page = docs_page(document())
    for operation in OPERATIONS:
        assert f'id="{operation.name}"' in page
    for problem in LEAVES:
        assert f'id="{problem.type}"' in page
    assert "<script" not in page
    assert "//cdn" not in page


def test_every_call_and_metric_is_in_the_docs() -> None:
    told = (DOC / "http.md").read_text()
    for operation in OPERATIONS:
        assert operation.path in told
        assert operation.method in told
