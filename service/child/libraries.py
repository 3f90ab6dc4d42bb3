"""What a process that loads bundles imports of others, which takes most of its start."""

import contextlib
import importlib
import signal
from collections.abc import Sequence

from service.child.importing import importing
from service.child.parent_death import die_with_parent

LIBRARIES = (
    "numpy.ma",
    "pyarrow.dataset",
    "pyarrow.parquet",
    "hnswlib",
    "onnxruntime",
    "orjson",
    "pydantic",
    "fastapi",
    "redis.asyncio",
    "uvicorn",
    "uvloop",
)
"""Not those that decide about something by the environment, which is not known so early."""


def import_libraries(parent: int, names: Sequence[str]) -> None:
    """Import them in a child of `parent`, with which it ends; one that is missing is left out."""
    die_with_parent(signal.SIGKILL, parent)
    with importing():
        for name in names:
            with contextlib.suppress(ImportError):
                importlib.import_module(name)
