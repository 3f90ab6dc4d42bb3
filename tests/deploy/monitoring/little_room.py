"""A service with little room for what is posted, `python -m tests.deploy.monitoring.little_room`.

It has room for 40,000 items at least otherwise, which take longer to post than a test should.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import firstsight
from service import cli, generation
from service.processes.worker import load, run_worker, versions
from service.settings import Settings
from service.supervisor import Plan

__all__ = ["load", "run_worker", "versions"]

NAME: Final = "tests.deploy.monitoring.little_room"
WANTS_HANDOVER: Final = 20
ROOM: Final = 2 * WANTS_HANDOVER

generation.GROW_AT = 5
generation.RECENT_MANY, generation.RECENT_LEAST = 0.0, WANTS_HANDOVER


def plan_of(settings: Settings, plan_of: Callable[[Settings], Plan] = cli.plan_of) -> Plan:
    """Plan with this module as the application, so that each loader imports it."""
    return replace(plan_of(settings), application=NAME)


if __name__ == "__main__":
    cli.plan_of = plan_of
    firstsight.main()
