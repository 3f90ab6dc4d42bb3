"""Interactions become two towers."""

import os

# OpenMP's threads spin while they wait; where other work has a core they would wait for it, a step
# takes ten times as long. It reads this once, when torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
