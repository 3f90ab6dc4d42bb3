"""The chart: what Helm makes of it, its values, and its renderings by Kubernetes' schemas."""

import re
import shutil
import subprocess
import tomllib

import jsonschema
import kubernetes_validate
import pytest
import yaml

from tests.deploy.chart import CHART, NAMES, RENDERED, manifests, of_kind
from tests.deploy.dockerfile import ROOT

HELM = shutil.which("helm")
needs_helm = pytest.mark.skipif(HELM is None, reason="helm is not installed")

OLDEST, NEWEST = "1.27", "1.35"
"""Versions of Kubernetes whose schemas hold; the oldest is that of Chart.yaml."""
CUSTOM = dict.fromkeys(("ServiceMonitor", "PrometheusRule"), "monitoring.coreos.com/v1")
"""What is of an operator, and in no schema of Kubernetes."""


def helm(*words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    assert HELM is not None
    return subprocess.run([HELM, *words], input=stdin, capture_output=True, text=True)


def template(*words: str) -> subprocess.CompletedProcess[str]:
    return helm("template", "firstsight", str(CHART), "--namespace", "recall", *words)


def values_of(name: str) -> str:
    return f"--values={CHART}/ci/{name}-values.yaml"


@needs_helm
@pytest.mark.parametrize("name", NAMES)
def test_helm_has_nothing_to_say(name: str) -> None:
    told = helm("lint", "--strict", str(CHART), values_of(name))
    assert told.returncode == 0, told.stdout + told.stderr


@needs_helm
@pytest.mark.parametrize("name", NAMES)
def test_what_is_committed_is_what_the_chart_renders(name: str) -> None:
    told = template(values_of(name))
    assert told.returncode == 0, told.stderr
    assert [*yaml.safe_load_all(told.stdout)] == manifests(name), "run `make manifests`"


@needs_helm
@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("replica=3", "replica'? (is )?not allowed"),
        ("settings.FIRSTSIGHT_WORKERS=2", "(want|Expected:) string"),
        ("settings.FIRSTSIGHT_PORT=9000", "FIRSTSIGHT_PORT"),
        ("settings.FIRSTSIGHT_GRACE_S=null", "FIRSTSIGHT_GRACE_S"),
        ("settings.WORKERS=2", "WORKERS"),
        ("image.digest=latest", "digest"),
        ("image.repository=", "image.repository"),
        ("secret.name=", "secret.redis"),
        ("secret.redis=http://redis", "redis"),
        ("secret.adminToken=short", "adminToken"),
        ("secret.name=,secret.redis=redis://redis", "keys.secret"),
        ("keys.secret=mine,keys.key=", "keys[./]key"),
        ("settings.FIRSTSIGHT_KEYS_FILE=/keys", "FIRSTSIGHT_KEYS_FILE"),
        ("bundles.claim=", "bundles.claim or bundles.fetch.image"),
        ("autoscaling.enabled=true,autoscaling.cpuPercent=0", "autoscaling.cpuPercent"),
        ("bundles.fetch.image=a", "bundles[./]fetch[./]command"),
        ("bundles.claim=,bundles.fetch.image=a,bundles.fetch.command={b},bundles.fetch.versions={c}",
         "bundles.first: kuairand-1 is not among bundles.fetch.versions, c"),
    ],
)  # fmt: skip
def test_a_value_that_cannot_be_used_is_named(wrong: str, said: str) -> None:
    told = template(values_of("claim"), "--set", wrong)
    assert told.returncode != 0
    assert re.search(said, told.stderr), told.stderr  # Helm 3 and 4 have words of their own


@needs_helm
@pytest.mark.parametrize(
    "chosen",
    [
        "networkPolicy.enabled=false,serviceAccount.create=false",
        "autoscaling.cpuPercent=0,ingress.host=,ingress.tlsSecret=,ingress.className=",
        "fullnameOverride=recall,service.type=LoadBalancer,service.clusterIP=",
        "serviceAccount.create=false,serviceAccount.name=mine,secret.name=mine",
        "bundles.claim=",
        "keys.secret=,secret.adminToken=only-an-example-of-a-token,prometheusRule.enabled=false",
    ],
)
def test_other_values_are_of_kubernetes_too(chosen: str) -> None:
    told = template(values_of("full"), "--set", chosen)
    assert told.returncode == 0, told.stderr
    for one in yaml.safe_load_all(told.stdout):
        if one["kind"] not in CUSTOM:
            kubernetes_validate.validate(one, NEWEST, strict=True)


@needs_helm
def test_pods_are_new_when_settings_or_our_secret_are() -> None:
    def annotations(*words: str) -> dict[str, str]:
        for one in yaml.safe_load_all(template(values_of("fetch"), *words).stdout):
            if one["kind"] == "Deployment":
                return dict(one["spec"]["template"]["metadata"]["annotations"])
        raise AssertionError("no Deployment")

    usual = annotations()
    other = annotations("--set-string", "settings.FIRSTSIGHT_K=10")
    assert usual["checksum/settings"] != other["checksum/settings"]
    other = annotations("--set", "secret.redis=redis://another")
    assert usual["checksum/secret"] != other["checksum/secret"]
    assert usual == annotations("--set", "replicas=5")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_manifests_are_of_kubernetes(name: str, version: str) -> None:
    for one in manifests(name):
        if one["kind"] in CUSTOM:
            assert one["apiVersion"] == CUSTOM[one["kind"]]
        else:
            kubernetes_validate.validate(one, version, strict=True)


def test_a_misspelt_field_would_be_found() -> None:
    one = of_kind("claim", "Deployment")
    one["spec"]["template"]["spec"]["enableServiceLink"] = False
    with pytest.raises(kubernetes_validate.ValidationError, match="enableServiceLink"):
        kubernetes_validate.validate(one, NEWEST, strict=True)


def test_every_template_is_in_a_rendering() -> None:
    text = "".join((RENDERED / f"{name}.yaml").read_text("utf-8") for name in NAMES)
    sources = set(re.findall(r"^# Source: firstsight/(\S+)", text, re.MULTILINE))
    assert sources == {str(one.relative_to(CHART)) for one in CHART.glob("templates/**/*.yaml")}


def test_default_values_are_of_their_schema_and_no_value_is_without_one() -> None:
    schema = yaml.safe_load((CHART / "values.schema.json").read_text("utf-8"))
    values = yaml.safe_load((CHART / "values.yaml").read_text("utf-8"))
    jsonschema.Draft7Validator.check_schema(schema)
    jsonschema.validate(values, schema)
    assert values.keys() == schema["properties"].keys() - {"global"}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(values | {"replica": 3}, schema)


def test_the_chart_is_of_this_release() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text("utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert chart["appVersion"] == project["version"]
    assert chart["description"] == project["description"]
    assert chart["kubeVersion"] == f">={OLDEST}.0-0"
