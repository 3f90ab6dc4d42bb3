"""How long to wait before something that ended is started again."""


class Backoff:
    """Doubles from `first_s` to `most_s`; what has lived for `steady_s` starts from the first."""

    def __init__(self, first_s: float, most_s: float, steady_s: float = 10.0) -> None:
        self._first_s = first_s
        self._most_s = most_s
        self._steady_s = steady_s
        self._next_s = first_s

    def wait_s(self, lived_s: float) -> float:
        """Return the seconds to wait, given how long the one that ended had lived."""
        if lived_s >= self._steady_s:
            self._next_s = self._first_s
        wait_s = self._next_s
        self._next_s = min(2 * wait_s, self._most_s)
        return wait_s
