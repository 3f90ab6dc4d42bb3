"""The folder in which the processes of a service count: read as one, folded as they end."""

import fcntl
import json
import os
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TextIO

from prometheus_client import Metric
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

MULTIPROCESS: Final = "PROMETHEUS_MULTIPROC_DIR"
"""Names the folder; it decides when prometheus_client is imported, so the command sets it before
any loader starts."""

PATIENCE_S: Final = 1.0
"""How long the lock is waited for; it is held for some milliseconds."""

SUMMED: Final = ("counter", "histogram")
"""What outlives a process. Its gauges do not."""

KEPT_S: Final = 120.0
"""How long the sums of a version outlive its last process: two scrapes, a minute apart."""


class MetricsFolder(Collector):
    """Files of prometheus_client, some for each process; those that ended share one of each kind.

    What ended processes counted of a version goes some time after the last process that told of it,
    with the next fold: else a scrape would tell of each version that was ever served.

    All is done under a lock, so that a reader meets each count once. A fold is made in one moment:

        KIND_PID.db ─▶ KIND_PID.ended ─▶ their sum, KIND_folded.new ─▶ KIND_folded.db
                                             ▲ here

    Whoever is killed before it has changed names only. After it the ended ones are in the sum, and
    whoever takes the lock next removes them first.

    Every method raises TimeoutError where somebody else keeps the lock.
    """

    def __init__(self, path: Path, kept_s: float = KEPT_S) -> None:
        self._path, self._kept_s = path, kept_s

    @classmethod
    def of_environment(cls) -> "MetricsFolder | None":
        """Return the folder that the command made; None where a process counts alone."""
        path = os.environ.get(MULTIPROCESS)
        return cls(Path(path)) if path else None

    def fold(self, *ended: int) -> None:
        """Add up what ended processes counted, and drop their gauges.

        ended: processes that ended although their number is in use: a process that is born finds
        the files of an ended one that had its number, and folds them before it counts itself.
        """
        with self._locked():
            told = self._told()
            self._add_up(told)  # what was left of a fold that did not come to its moment
            for path in self._path.glob("*.db"):
                number = _process_of(path)
                if number is None or (number not in ended and _is_alive(number)):
                    continue
                if _is_gauge(path) or _is_empty(path):
                    path.unlink()
                else:
                    path.rename(path.with_suffix(".ended"))
            self._add_up(told)

    def collect(self) -> Iterable[Metric]:
        """Return the sum of all that was counted, and the gauges of those that are alive."""
        with self._locked():
            files = [*self._path.glob("*.db"), *self._path.glob("*.ended")]
            told = [str(path) for path in files if not _is_empty(path) and not _is_past(path)]
            metrics: Iterable[Metric] = MultiProcessCollector.merge(told)  # type: ignore[no-untyped-call]
            return metrics

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with (self._path / "lock").open("a") as lock:
            _lock(lock)
            for kind in SUMMED:
                self._finish(kind)
            yield

    def _told(self) -> set[str | None]:
        """Return the versions of which a process tells that is alive, or has just ended."""
        files = [*self._path.glob("*.db"), *self._path.glob("*.ended")]
        own = [path for path in files if _process_of(path) is not None and not _is_empty(path)]
        return {None} | {_version_of(key) for path in own for key, *_ in values_of(path)}

    def _add_up(self, told: set[str | None]) -> None:
        """Add the counts of those that ended to the sum, without what is no longer told of."""
        now_s = time.monotonic()  # of all processes of a machine the same
        for kind in SUMMED:
            ended = list(self._path.glob(f"{kind}_*.ended"))
            if not ended:
                continue
            folded = self._path / f"{kind}_folded.db"
            sums: defaultdict[str, float] = defaultdict(float)
            told_s: dict[str, float] = {}
            for path in [folded, *ended] if folded.exists() else ended:
                for key, value, last_s, _ in values_of(path):
                    sums[key] += value
                    is_old = path == folded and _version_of(key) not in told
                    told_s[key] = last_s if is_old else now_s
            kept = {key: at_s for key, at_s in told_s.items() if now_s - at_s <= self._kept_s}
            part = folded.with_suffix(".part")
            part.unlink(missing_ok=True)
            _write(part, ((key, sums[key], at_s) for key, at_s in kept.items()))
            part.rename(folded.with_suffix(".new"))
            self._finish(kind)

    def _finish(self, kind: str) -> None:
        """Do what is left of a fold that has been made."""
        new = self._path / f"{kind}_folded.new"
        if new.exists():
            for path in self._path.glob(f"{kind}_*.ended"):
                path.unlink()
            new.rename(new.with_suffix(".db"))


def _lock(file: TextIO) -> None:
    """Take the lock; not for ever, for one who was stopped with it must not stop the others."""
    give_up_s = time.monotonic() + PATIENCE_S
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > give_up_s:
                raise TimeoutError(f"{file.name} is held by another process") from None
            time.sleep(0.002)
        else:
            return


def values_of(path: Path) -> Iterable[tuple[Any, ...]]:
    """Return key, value, time and place of each count in a file."""
    values: Iterable[tuple[Any, ...]] = MmapedDict.read_all_values_from_file(str(path))  # type: ignore[no-untyped-call]
    return values


def _write(path: Path, sums: Iterable[tuple[str, float, float]]) -> None:
    file = MmapedDict(str(path))  # type: ignore[no-untyped-call]
    for key, value, told_s in sums:
        file.write_value(key, value, told_s)  # type: ignore[no-untyped-call]
    file.close()  # type: ignore[no-untyped-call]


def _version_of(key: str) -> str | None:
    _metric, _sample, labels, _help = json.loads(key)
    version: str | None = labels.get("version")
    return version


def _process_of(path: Path) -> int | None:
    number = path.stem.rpartition("_")[2]
    return int(number) if number.isdecimal() else None


def _is_gauge(path: Path) -> bool:
    return path.name.startswith("gauge_")


def _is_empty(path: Path) -> bool:
    """Say whether its process was killed as it opened it."""
    return path.stat().st_size == 0


def _is_past(path: Path) -> bool:
    number = _process_of(path)
    return _is_gauge(path) and number is not None and not _is_alive(number)


def _is_alive(number: int) -> bool:
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # somebody else's
    return True
