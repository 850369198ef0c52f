"""When to save a training that may be interrupted. No Ray, no Keras."""

import time

SAVE_INTERVAL_S = 30.0
"""A training is saved after the first epoch that ends this long after the last one saved, so that
with epochs of half a minute or less, no more than a minute is lost."""


class SaveTimer:
    """Tells after an epoch whether it is time to save."""

    def __init__(self, interval_s: float) -> None:
        """Begin now."""
        self._interval_s, self._saved_at = interval_s, time.monotonic()

    def is_due(self) -> bool:
        """Return whether the interval has passed since this returned True, or since the start."""
        now = time.monotonic()
        if now - self._saved_at < self._interval_s:
            return False
        self._saved_at = now
        return True
