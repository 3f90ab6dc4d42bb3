"""A service with little room for what is posted, `python -m tests.deploy.monitoring.little_room`.

It has room for 40,000 items at least otherwise, which take longer to post than a test should.
"""

from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Final

import firstsight
from service import cli, generation
from service.processes import worker
from service.processes.loaded import Loaded
from service.processes.worker import run_worker, versions
from service.settings import Settings
from service.supervisor import Plan

__all__ = ["load", "run_worker", "versions"]

NAME: Final = "tests.deploy.monitoring.little_room"
WANTS_HANDOVER: Final = 20
ROOM: Final = 2 * WANTS_HANDOVER


def load(settings: Settings, *, served: Collection[str] = ()) -> Loaded | None:
    """Load as the service does, in a process whose generations want little room."""
    generation.GROW_AT = 5
    generation.RECENT_MANY, generation.RECENT_LEAST = 0.0, WANTS_HANDOVER
    return worker.load(settings, served=served)


def plan_of(settings: Settings, plan_of: Callable[[Settings], Plan] = cli.plan_of) -> Plan:
    """Plan with this module as the application."""
    return replace(plan_of(settings), application=NAME)


if __name__ == "__main__":
    cli.plan_of = plan_of
    firstsight.main()
