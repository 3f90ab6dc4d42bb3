"""The rules that Prometheus is given, as the file has them; and the expressions in them."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.metrics_page import series

MONITORING = Path(__file__).parents[3] / "deploy" / "monitoring"
RULES = MONITORING / "rules" / "firstsight.yml"

NAME = re.compile(r"[a-z_]*:?firstsight_\w+(?::\w+)?")
SELECTED = re.compile(r"(firstsight_\w+)\{([^}]*)\}")
OF_PROMETHEUS = {"job", "instance", "namespace"}


@dataclass(frozen=True)
class Alert:
    """An alert, without the time it waits."""

    name: str
    expr: str
    runbook: str


def rules() -> list[dict[str, Any]]:
    """Return all rules of all groups."""
    groups = yaml.safe_load(RULES.read_text("utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def alerts() -> list[Alert]:
    """Return every alert."""
    return [
        Alert(rule["alert"], rule["expr"], rule["annotations"]["runbook_url"])
        for rule in rules()
        if "alert" in rule
    ]


def recorded() -> set[str]:
    """Return the names that rules record."""
    return {rule["record"] for rule in rules() if "record" in rule}


def faults(expr: str) -> list[str]:
    """Say what an expression names that is not there: metrics, or labels of theirs."""
    known = series()
    names = set(NAME.findall(expr))
    found = [f"no metric {name}" for name in sorted(names - known.keys() - recorded())]
    for name, selectors in SELECTED.findall(expr):
        labels = set(re.findall(r"(\w+)\s*[=!]", selectors)) - OF_PROMETHEUS
        found += [f"{name} has no label {one}" for one in labels - known.get(name, labels)]
    return found if names else [*found, "no metric of ours"]
