"""Every call of the service, described once: what it takes, what it answers, with examples."""

from service.operations.base import ALWAYS, Answer, Operation, Parameter
from service.operations.items import ITEMS
from service.operations.probes import PROBES
from service.operations.recall import RECALL
from service.operations.rollout import ROLLOUT
from service.operations.users import USERS

__all__ = ["ALWAYS", "OPERATIONS", "Answer", "Operation", "Parameter"]

OPERATIONS = (*RECALL, *ITEMS, *USERS, *ROLLOUT, *PROBES)
