"""The OpenAPI document; `python -m service.http.openapi` prints, writes or checks it."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from service.errors import MEDIA_TYPE, Problem
from service.http.examples import EXAMPLES
from service.http.operations import ALWAYS, OPERATIONS, Answer, Link, Operation, Parameter
from service.payloads import ProblemBody

TITLE, API_VERSION = "firstsight", "1"
INFO = {
    "title": TITLE,
    "version": API_VERSION,
    "summary": "Two-tower recall that gives new items and new users a good place.",
    "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
}
KEY = {
    "type": "http",
    "scheme": "bearer",
    "description": "A key of the service; each call says which of the scopes `recall`, `write` and "
    "`admin` (which has all) it needs. A service on a loopback address without keys asks for none.",
}
HEADERS = {
    "X-Request-Id": "The id of the request.",
    "WWW-Authenticate": "`Bearer`.",
    "Retry-After": "After how many seconds to ask again.",
    "X-Log-Id": "The `log_id` of the write, for `after`.",
    "X-Durable": "`true` or `false`: what `durable` is of a post.",
}
"""What is in the heads of answers, and what it says."""

REQUEST = "01JD8X0J7Q6V3M5C9T2R4W8E1Z"
REF = "#/components/schemas/{model}"


def document() -> dict[str, Any]:
    """Return the whole document; it depends on nothing but the code."""
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    _, schemas = models_json_schema(
        [(model, "validation") for model in _models()], ref_template=REF
    )
    headers = {
        name: {"description": told, "required": True, "schema": {"type": "string"}}
        for name, told in HEADERS.items()
    }
    components = {"securitySchemes": {"key": KEY}, "headers": headers, "schemas": schemas["$defs"]}
    return {
        "openapi": "3.1.0",
        "info": INFO,
        "paths": paths,
        "components": components,
    }


def _models() -> list[type[BaseModel]]:
    models: list[type[BaseModel]] = [ProblemBody]
    for operation in OPERATIONS:
        models += operation.body
        models += [model for answer in operation.answers.values() for model in answer.models]
    return list(dict.fromkeys(models))


def _operation(operation: Operation) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "description": operation.text,
        "tags": [operation.tag],
    }
    if operation.parameters:
        described["parameters"] = [_parameter(one) for one in operation.parameters]
    if operation.body:
        described["requestBody"] = _request_body(operation)
    answers = {str(status): _answer(one) for status, one in operation.answers.items()}
    described["security"] = [] if operation.needs is None else [{"key": [operation.needs]}]
    problems = _problems((*operation.refusals, *ALWAYS))
    # /readyz says 503 in a body of its own; nothing else answers one status in two ways.
    return described | {"responses": dict(sorted((problems | answers).items()))}


def _parameter(one: Parameter) -> dict[str, Any]:
    return {
        "name": one.name,
        "in": one.place,
        "required": one.required,
        "description": one.text,
        "schema": one.schema,
        "example": one.example,
    }


def _request_body(operation: Operation) -> dict[str, Any]:
    content = _content(operation.body, operation.bodies)
    return {"required": operation.is_body_needed, "content": {"application/json": content}}


def _answer(one: Answer) -> dict[str, Any]:
    described: dict[str, Any] = {"description": one.text, "headers": _headers(one.headers)}
    if one.models:
        described["content"] = {"application/json": _content(one.models, one.examples)}
    elif one.media:
        described["content"] = {one.media: {}}
    if one.links:
        described["links"] = {name: _link(link) for name, link in one.links.items()}
    return described


def _headers(own: Sequence[str]) -> dict[str, Any]:
    """Return what every answer has in its head, and this one besides."""
    return {name: {"$ref": f"#/components/headers/{name}"} for name in (*own, "X-Request-Id")}


def _link(one: Link) -> dict[str, Any]:
    described: dict[str, Any] = {"operationId": one.operation}
    if one.parameters:
        described["parameters"] = one.parameters
    return described | ({} if one.body is None else {"requestBody": one.body})


def _content(models: Sequence[type[BaseModel]], examples: Mapping[str, object]) -> dict[str, Any]:
    refs = [{"$ref": REF.format(model=model.__name__)} for model in models]
    return {
        "schema": refs[0] if len(refs) == 1 else {"anyOf": refs},
        "examples": {name: {"value": value} for name, value in examples.items()},
    }


def _problems(problems: Iterable[type[Problem]]) -> dict[str, Any]:
    """Return the answers by status; problems of one status share it, each with its example."""
    answers: dict[str, Any] = {}
    for problem in problems:
        content = {MEDIA_TYPE: _content([ProblemBody], {})}
        first = {"description": "", "headers": _headers(problem.told), "content": content}
        answer = answers.setdefault(str(problem.status), first)
        told = f"{answer['description']} {problem.title}: `{problem.type}`."
        answer["description"] = told.strip()
        example = EXAMPLES[problem].body() | {"request_id": REQUEST}
        answer["content"][MEDIA_TYPE]["examples"][problem.type] = {"value": example}
    return answers


def text() -> str:
    """Return the document as `docs/openapi.json` holds it."""
    return json.dumps(document(), indent=1, ensure_ascii=False) + "\n"


def main(arguments: Sequence[str]) -> int:
    """Print the document; write it to the file that is named; or `--check` that file."""
    match arguments:
        case []:
            sys.stdout.write(text())
        case ["--check", name]:
            path = Path(name)
            if not path.is_file() or path.read_text(encoding="utf-8") != text():
                sys.stderr.write(f"{name} is out of date; write it with `make openapi`\n")
                return 1
        case [name] if not name.startswith("-"):
            Path(name).write_text(text(), encoding="utf-8")
        case _:
            sys.stderr.write("usage: python -m service.http.openapi [[--check] FILE]\n")
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
