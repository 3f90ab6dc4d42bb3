"""The scenarios. To add one: write its file, then add its line here."""

from benchmarks.soak.scenario import Scenario
from benchmarks.soak.scenarios.churn import Churn
from benchmarks.soak.scenarios.emptied import Emptied
from benchmarks.soak.scenarios.everysec import Everysec
from benchmarks.soak.scenarios.outages import Outages
from benchmarks.soak.scenarios.overload import Overload
from benchmarks.soak.scenarios.promoted import Lagging, Replica
from benchmarks.soak.scenarios.redis import Redis
from benchmarks.soak.scenarios.rollouts import Rollouts
from benchmarks.soak.scenarios.workers import Workers

SCENARIOS: tuple[type[Scenario], ...] = (
    Workers,
    Redis,
    Everysec,
    Emptied,
    Replica,
    Lagging,
    Outages,
    Overload,
    Rollouts,
    Churn,
)
