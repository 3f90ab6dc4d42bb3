"""Every call of the service, described once: what it takes, what it answers, with examples."""

from service.http.operations.base import ALWAYS, Answer, Link, Operation, Parameter
from service.http.operations.items import ITEMS
from service.http.operations.probes import PROBES
from service.http.operations.recall import RECALL
from service.http.operations.rollout import ROLLOUT
from service.http.operations.users import USERS

__all__ = ["ALWAYS", "OPERATIONS", "Answer", "Link", "Operation", "Parameter"]

OPERATIONS = (*RECALL, *ITEMS, *USERS, *ROLLOUT, *PROBES)
