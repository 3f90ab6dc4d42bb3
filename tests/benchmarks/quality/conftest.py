"""The small sources, prepared once for all tests of this room."""

from pathlib import Path

import pytest

from benchmarks.quality.case import Case
from benchmarks.quality.protocols import PROTOCOLS
from tests.benchmarks.quality.sources import write_sources
from tests.once import once


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a work folder in which every protocol is prepared; tests write into copies."""

    def make(folder: Path) -> None:
        data = write_sources(folder.with_name(f"{folder.name}.sources"))
        for protocol in PROTOCOLS:
            case = Case(folder, protocol, next(iter(protocol.contents)))
            protocol.tables(data / protocol.source).write(case.train, case.test)

    return once(tmp_path_factory, "quality", make)


def case_of(work: Path, name: str, content: str = "all") -> Case:
    """Return a case by the name of its protocol."""
    (protocol,) = [one for one in PROTOCOLS if one.name == name]
    return Case(work, protocol, content)
