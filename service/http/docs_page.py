"""The page at `/docs`: the OpenAPI document and the problems, to read; no scripts, no CDN."""

import json
from html import escape
from typing import Any

from service.errors import LEAVES, Problem
from service.http.examples import EXAMPLES

STYLE = """
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif }
body { max-width: 58rem; margin: 2rem auto; padding: 0 1rem }
h2 { border-top: 1px solid #8886; padding-top: 1.2rem; margin-top: 2.2rem }
code, pre { font: 13px/1.45 ui-monospace, monospace }
pre { background: #8881; padding: .7rem; overflow: auto; border-radius: 6px }
table { border-collapse: collapse; width: 100% }
td, th { text-align: left; vertical-align: top; padding: .2rem .8rem .2rem 0 }
"""


def docs_page(document: dict[str, Any]) -> str:
    """Return the page as HTML."""
    calls = [
        (method.upper(), path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    index = "".join(
        f'<li><a href="#{o["operationId"]}"><code>{m} {escape(p)}</code></a> {escape(o["summary"])}'
        for m, p, o in calls
    )
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>firstsight</title>'
        f"<style>{STYLE}</style><h1>firstsight</h1>"
        f"<p>{escape(document['info']['summary'])} "
        f'The same as <a href="openapi.json">OpenAPI</a>.</p><ul>{index}</ul>'
        + "".join(_call(*call) for call in calls)
        + "<h1>Problems</h1><p>Errors are <code>application/problem+json</code> (RFC 9457).</p>"
        + "".join(_problem(problem) for problem in LEAVES)
        + "</html>\n"
    )


def _call(method: str, path: str, operation: dict[str, Any]) -> str:
    text = f'<h2 id="{operation["operationId"]}"><code>{method} {escape(path)}</code></h2>'
    text += f"<p>{_prose(operation['description'])}</p>"
    if parameters := operation.get("parameters"):
        text += _table([(p["name"], p["in"], p["description"]) for p in parameters])
    for name, content in operation.get("requestBody", {}).get("content", {}).items():
        text += _examples(f"Body, {name}", content)
    for status, answer in operation["responses"].items():
        text += f"<p><b>{status}</b> {_prose(answer['description'])}</p>"
        if status.startswith("2"):
            text += "".join(_examples("", one) for one in answer.get("content", {}).values())
    return text


def _problem(problem: type[Problem]) -> str:
    example = json.dumps(EXAMPLES[problem].body(), indent=1, ensure_ascii=False)
    return (
        f'<h2 id="{problem.type}"><code>{problem.type}</code> {problem.status}</h2>'
        f"<p>{escape(problem.__doc__ or '')}</p><pre>{escape(example)}</pre>"
    )


def _table(rows: list[tuple[str, str, str]]) -> str:
    cells = (
        f"<tr><td><code>{escape(name)}</code><td>{place}<td>{_prose(told)}"
        for name, place, told in rows
    )
    return f"<table>{''.join(cells)}</table>"


def _examples(title: str, content: dict[str, Any]) -> str:
    text = f"<p>{title}</p>" if title else ""
    for name, example in content.get("examples", {}).items():
        value = json.dumps(example["value"], indent=1, ensure_ascii=False)
        text += f"<p>{escape(name)}</p><pre>{escape(value)}</pre>"
    return text


def _prose(text: str) -> str:
    """Escape, and set what stands in backticks as code."""
    parts = escape(text).split("`")
    return "".join(f"<code>{p}</code>" if at % 2 else p for at, p in enumerate(parts))
