"""The pace of searches: how many are made before others on the event loop have their turn."""

SLICE_S = 0.004
"""What the event loop gives to the searches of one batch."""

NEWEST = 0.2
"""How much the newest measurement counts against all before it."""


class Pace:
    """Knows what one search takes by now, in seconds of CPU, which no other process disturbs.

    most: how many are made at once however short they are.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._one_s = 0.0

    def note(self, searches: int, took_s: float) -> None:
        """Take note of what some searches took together."""
        self._one_s += NEWEST * (took_s / searches - self._one_s)

    def batch(self) -> int:
        """Return how many may be made at once, at least one."""
        if self._one_s * self._most <= SLICE_S:
            return self._most
        return max(1, int(SLICE_S / self._one_s))

    @property
    def is_slow(self) -> bool:
        """Whether one search alone takes too long for the event loop, and a thread is worth it."""
        return self._one_s > SLICE_S
