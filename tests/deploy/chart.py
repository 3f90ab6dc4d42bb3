"""The committed renderings of the chart, by kind, and the pods that they start."""

from collections.abc import Iterator
from typing import Any

import yaml

from tests.deploy.dockerfile import ROOT

CHART = ROOT / "deploy" / "chart"
RENDERED = ROOT / "deploy" / "kubernetes"
NAMES = ("claim", "fetch", "full")

Manifest = dict[str, Any]


def manifests(name: str) -> list[Manifest]:
    """Return the committed rendering of `ci/<name>-values.yaml`."""
    return [*yaml.safe_load_all((RENDERED / f"{name}.yaml").read_text("utf-8"))]


def of_kind(name: str, kind: str) -> Manifest:
    (found,) = (one for one in manifests(name) if one["kind"] == kind)
    return found


def pods(name: str) -> Iterator[Manifest]:
    """Give the specification of every pod: of the service, the publishing Job and the test."""
    for one in manifests(name):
        if one["kind"] == "Pod":
            yield one["spec"]
        elif one["kind"] in ("Deployment", "Job"):
            yield one["spec"]["template"]["spec"]


def containers(pod: Manifest) -> list[Manifest]:
    return [*pod.get("initContainers", []), *pod["containers"]]


def served_by(name: str) -> Manifest:
    """Return the container that serves."""
    (container,) = of_kind(name, "Deployment")["spec"]["template"]["spec"]["containers"]
    assert isinstance(container, dict)
    return container
