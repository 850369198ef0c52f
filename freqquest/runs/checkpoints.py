"""Checkpoints of a training: written whole or not at all, verified when they are read, old ones removed.

Each is one file, `epoch_<number>_<hash>.pt`, whose name holds the start of its content's SHA-256, so that a file that
was cut short or has changed is known as such without any other file. Knows no framework: contents are bytes.
"""

import hashlib
import json
import re
import sys
from dataclasses import dataclass

from freqquest.runs.storage import Location

_HASH_LENGTH = 16
_NAME = re.compile(r"epoch_(\d{6})_([0-9a-f]{16})\.pt")
_BEST_NAME = "best.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkpoints:
    """The checkpoints in one folder: the last few, and the best one."""

    folder: Location
    num_kept: int = 2
    """How many of the last ones stay."""

    def save(self, epoch: int, content: bytes, score: float | None = None) -> None:
        """Write a checkpoint, and remove those that are neither among the last nor the best.

        Args:
            epoch: Epochs done.
            content: All that continues the training.
            score: Higher is better; None where this epoch was not judged.
        """
        name = f"epoch_{epoch:06d}_{_hash(content)}.pt"
        (self.folder / name).write_bytes(content)
        if score is not None and score > self._best()[1]:
            (self.folder / _BEST_NAME).write_text(json.dumps({"epoch": epoch, "score": score}))
        wanted = {*sorted(self._places())[-self.num_kept :], self._best()[0]}
        for number, place in self._places().items():
            if number not in wanted:
                place.remove_file()

    def last(self) -> bytes | None:
        """The newest checkpoint that is whole; None where there is none. What is damaged is named."""
        for epoch in sorted(self._places(), reverse=True):
            content = self._read(epoch)
            if content is not None:
                return content
        return None

    def best(self) -> bytes | None:
        """The checkpoint with the highest score; None where none was judged, or it is damaged."""
        return self._read(self._best()[0])

    def _read(self, epoch: int) -> bytes | None:
        place = self._places().get(epoch)
        if place is None:
            return None
        content = place.read_bytes()
        if _hash(content) in place.name:
            return content
        print(f"{place} is damaged and is left out", file=sys.stderr)
        return None

    def _best(self) -> tuple[int, float]:
        """Epoch and score; epoch 0 where none was judged."""
        try:
            best = json.loads((self.folder / _BEST_NAME).read_text())
            return int(best["epoch"]), float(best["score"])
        except (OSError, ValueError, KeyError, TypeError):
            return 0, float("-inf")

    def _places(self) -> dict[int, Location]:
        """Files by epoch."""
        if not self.folder.is_dir():
            return {}
        found = ((_NAME.fullmatch(place.name), place) for place in self.folder.list_dir())
        return {int(match[1]): place for match, place in found if match}


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:_HASH_LENGTH]
