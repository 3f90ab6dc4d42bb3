"""What a peer is: a place for vectors that finds the nearest, set up as its makers advise."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from export.embedder import Vectors

Near = tuple[Sequence[int], Sequence[float]]
"""Row numbers of the nearest vectors, nearest first, and their inner products."""


class Peer(ABC):
    """A store of vectors in a folder; a server of its own, if it has one, is started by `open`.

    efforts: settings of a search from cheap to dear, of which the cheapest that finds enough is
    measured. note: what a reader should know of how far this peer stands for its kind.
    """

    efforts: ClassVar[tuple[int, ...]]
    note: ClassVar[str] = ""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def missing(cls) -> str:
        """Say in a line what else than its package is not here; empty if it can run."""
        return ""

    @abstractmethod
    def build(self, vectors: Vectors) -> None:
        """Take unit vectors [n, dim] in, and index them; in a process of its own."""

    @abstractmethod
    async def open(self) -> None:
        """Get ready to search what was built."""

    @abstractmethod
    async def search(self, vector: Vectors, k: int, effort: int) -> Near:
        """Find the k nearest of one query [dim]."""

    def processes(self) -> tuple[int, ...]:
        """Return the ids of processes that work for it, beside the one that has opened it."""
        return ()

    async def close(self) -> None:  # noqa: B027  most have nothing to end
        """End what `open` has started, if that would outlive the process."""
