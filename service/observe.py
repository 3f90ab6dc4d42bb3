"""What is counted and timed, and how Prometheus reads it: the same from every worker."""

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)

from service.metrics_folder import MetricsFolder

__all__ = ["CONTENT_TYPE_LATEST", "exposition"]

disable_created_metrics()  # type: ignore[no-untyped-call]

SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
STAGES = (0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1)

REQUESTS = Counter("firstsight_requests", "Requests answered.", ["route", "status"])
REQUEST_SECONDS = Histogram(
    "firstsight_request_seconds",
    "From the request's head to the answer's end.",
    ["route"],
    buckets=SECONDS,
)
RECALLS = Counter("firstsight_recall", "Recalls, by how they were answered.", ["state", "version"])
RECALL_SECONDS = Histogram(
    "firstsight_recall_seconds",
    "From a recall's being asked, with its `after`, to its being answered, not yet written.",
    ["state", "version"],
    buckets=SECONDS,
)
RECALL_WAIT_SECONDS = Histogram(
    "firstsight_recall_wait_seconds",
    "From a recall's being asked to its batch's running.",
    buckets=STAGES,
)
BATCH_RECALLS = Histogram(
    "firstsight_batch_recalls", "Recalls that were answered together.", buckets=BATCHES
)
STAGE_SECONDS = Histogram(
    "firstsight_stage_seconds",
    "The stages of one batch of recalls, and of each answer its encoding.",
    ["stage"],
    buckets=STAGES,
)
DEGRADED = Counter("firstsight_degraded", "Recalls answered with less than all.", ["reason"])
PUBLISH_TO_SEARCHABLE = Histogram(
    "firstsight_publish_to_searchable_seconds",
    "From an item's log entry to its being found here, by the clocks of two machines.",
    buckets=SECONDS,
)
LOG_SKIPPED = Counter("firstsight_log_skipped", "Log entries and items that were set aside.")
SNAPSHOTS = Counter(
    "firstsight_snapshots", "Snapshots, by what became of them: written, failed, refused.", ["was"]
)
RECONCILED = Counter(
    "firstsight_reconciled",
    "Items in which this replica and Redis differed and that were repaired.",
    ["was"],
)
HISTORY_UNKNOWN = Counter("firstsight_history_unknown", "Ids in a `history` that are no items.")
ITEMS_CLIPPED = Counter(
    "firstsight_items_clipped", "Posted items longer than the lift of an inner product allows for."
)
MONITORED = Counter(
    "firstsight_online_recall_samples",
    "Searches drawn to be repeated exactly: measured, or dropped where too many were drawn.",
    ["was", "version"],
)
ONLINE_RECALL = Gauge(
    "firstsight_online_recall",
    "The share of the truly nearest items that searches found, over the last 256 samples.",
    ["version"],
    multiprocess_mode="livemin",
)
# Each worker holds an index and a cursor of its own: the gauges tell of the worst of them.
INDEX_ITEMS = Gauge(
    "firstsight_index_items", "Items by part.", ["part", "version"], multiprocess_mode="livemax"
)
SERVED_SHARE = Gauge(
    "firstsight_served_share",
    "The share of users that a version serves, 0..1.",
    ["version"],
    multiprocess_mode="livemax",
)
READY = Gauge(
    "firstsight_ready",
    "1 while some worker's /readyz says 200.",
    multiprocess_mode="livemax",
)
DURABILITY = Gauge(
    "firstsight_durability",
    "1 for what an acknowledged item survives, as /readyz says it; 0 for all else.",
    ["level"],
    multiprocess_mode="livemax",
)
BUNDLE_AGE_SECONDS = Gauge(
    "firstsight_bundle_age_seconds",
    "Since the export of a bundle that is loaded.",
    ["version"],
    multiprocess_mode="livemax",
)
ITEMS_CHECKSUM = Gauge(
    "firstsight_items_checksum",
    "A number of 48 bits for the ids and revs of all changed items.",
    ["version"],
    multiprocess_mode="livemax",
)
BUNDLE_REFUSED = Gauge(
    "firstsight_bundle_refused",
    "1 while a version that is to be served cannot be; /readyz says why.",
    multiprocess_mode="livemax",
)
KEYS_REFUSED = Gauge(
    "firstsight_keys_refused",
    "1 while the file of keys cannot be read, so that the keys read before go on.",
    multiprocess_mode="livemax",
)
GROWTH_BLOCKED = Gauge(
    "firstsight_growth_blocked",
    "1 while the recent index has no room for what was posted, and no handover takes it in.",
    ["version"],
    multiprocess_mode="livemax",
)
BREAKER_OPEN = Gauge(
    "firstsight_breaker_open",
    "1 while Redis does not answer and is not asked.",
    multiprocess_mode="livemax",
)
LOG_LAG_ENTRIES = Gauge(
    "firstsight_log_lag_entries", "Log entries not yet applied.", multiprocess_mode="livemax"
)
LOG_LAG_SECONDS = Gauge(
    "firstsight_log_lag_seconds",
    "Age of the oldest log entry not yet applied.",
    multiprocess_mode="livemax",
)
# Counted from 0 on, for of a series that begins at 1 Prometheus sees no increase.
for _counter, _values in (
    (DEGRADED, ("store", "features", "stale")),
    (SNAPSHOTS, ("written", "failed", "refused")),
    (RECONCILED, ("read", "announced")),
):
    for _value in _values:
        _counter.labels(_value)


def exposition() -> bytes:
    """Return all metrics as Prometheus reads them, of all workers where there are several.

    Of several it takes some milliseconds, and waits for whoever folds: not for an event loop.
    """
    folder = MetricsFolder.of_environment()
    if folder is None:
        return generate_latest(REGISTRY)
    registry = CollectorRegistry()
    registry.register(folder)
    return generate_latest(registry)
