"""The page of metrics and the code name the same metrics, with the same types and labels."""

from prometheus_client import REGISTRY
from prometheus_client.metrics import MetricWrapperBase

from service import observe
from tests.metrics_page import told


def counted() -> dict[str, tuple[str, tuple[str, ...]]]:
    """Return the type and the labels of each metric of the service."""
    found: dict[str, tuple[str, tuple[str, ...]]] = {}
    for metric in vars(observe).values():
        if isinstance(metric, MetricWrapperBase) and not metric._labelvalues:
            name = metric._name + ("_total" if metric._type == "counter" else "")
            found[name] = str(metric._type), tuple(metric._labelnames)
    return found


def test_page_and_code_name_the_same_metrics_types_and_labels() -> None:
    assert {name: (row.kind, row.labels) for name, row in told().items()} == counted()
    assert len(counted()) > 20


def test_no_metric_is_made_elsewhere() -> None:
    names = {f"{m.name}_total" if m.type == "counter" else m.name for m in REGISTRY.collect()}
    assert {name for name in names if name.startswith("firstsight_")} == set(counted())
