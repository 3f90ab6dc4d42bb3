import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize(("chosen", "expected"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_threads_wait_asleep_unless_told_otherwise(chosen: str | None, expected: str) -> None:
    environ = {name: one for name, one in os.environ.items() if name != "OMP_WAIT_POLICY"}
    if chosen:
        environ["OMP_WAIT_POLICY"] = chosen
    asked = "import sys, training, os; print(os.environ['OMP_WAIT_POLICY'], 'torch' in sys.modules)"
    found = subprocess.run(
        [sys.executable, "-c", asked], env=environ, capture_output=True, text=True, check=True
    )
    assert found.stdout.split() == [expected, "False"]  # set before torch reads it
