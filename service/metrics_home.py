"""A place for the folder of metrics, for as long as a service lives; see `metrics_folder`.

Apart from that, which decides about metrics when it is imported.
"""

import contextlib
import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

PREFIX: Final = "firstsight-metrics-"
OWNER: Final = "owner"
"""A file whose lock the service holds: the kernel lets go of it, however the service ends."""


@contextmanager
def metrics_home() -> Iterator[Path]:
    """Make a folder that ends with the service; those that killed ones have left are removed.

    Raises:
        OSError: There can be no such folder.

    """
    _remove_left()
    home = Path(tempfile.mkdtemp(prefix=PREFIX))
    try:
        new = home / f"{OWNER}.new"
        with new.open("w") as owner:
            fcntl.flock(owner, fcntl.LOCK_EX)
            new.rename(home / OWNER)  # held by then, so that nobody takes it for one that was left
            yield home
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _remove_left() -> None:
    for home in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError), (home / OWNER).open("r+") as owner:
            fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)  # an OSError where its owner lives
            shutil.rmtree(home, ignore_errors=True)
