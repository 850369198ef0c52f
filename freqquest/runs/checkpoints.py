"""Checkpoints of a training: written whole or not at all, verified when they are read, old ones removed.

Each is one file, `epoch_<number>[_score_<score>]_<hash>.pt`. The hash is the start of its content's SHA-256, so that a
file that was cut short or has changed is known as such; there is no other file to disagree with. Knows no framework:
contents are bytes.
"""

import hashlib
import re
import sys
from dataclasses import dataclass

from freqquest.storage import Location

_HASH_LENGTH = 16
_NAME = re.compile(r"epoch_(\d{6})(?:_score_(-?\d\.\d+e[+-]\d+))?_[0-9a-f]{16}\.pt")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Saved:
    """A checkpoint's file, as its name tells."""

    place: Location
    epoch: int
    score: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkpoints:
    """The checkpoints in one folder: the last few, and the best one."""

    folder: Location
    num_kept: int = 2
    """How many of the last ones stay."""

    def save(self, epoch: int, content: bytes, score: float | None = None) -> None:
        """Write a checkpoint, and remove those that are neither among the last nor the best.

        Args:
            epoch: Epochs done; an earlier checkpoint of the same epoch is replaced.
            content: All that continues the training.
            score: Higher is better; None where this epoch was not judged.
        """
        judged = "" if score is None else f"_score_{score:.6e}"
        name = f"epoch_{epoch:06d}{judged}_{_hash(content)}.pt"
        (self.folder / name).write_bytes(content)
        saved = self._saved()
        wanted = {one.epoch for one in saved[: self.num_kept]} | {
            one.epoch for one in _by_score(saved)[:1]
        }
        for one in saved:
            if one.epoch not in wanted or (one.epoch == epoch and one.place.name != name):
                one.place.remove_file()

    def last(self) -> bytes | None:
        """The newest checkpoint that is whole; None where there is none. What is damaged is named."""
        return _first_whole(self._saved())

    def best(self) -> bytes | None:
        """The one with the highest score among those that are whole; None where none was judged."""
        return _first_whole(_by_score(self._saved()))

    def _saved(self) -> list[_Saved]:
        """The newest first."""
        named = ((_NAME.fullmatch(place.name), place) for place in self.folder.list_dir())
        saved = [
            _Saved(
                place=place,
                epoch=int(match[1]),
                score=None if match[2] is None else float(match[2]),
            )
            for match, place in named
            if match
        ]
        return sorted(saved, key=lambda one: one.epoch, reverse=True)


def _by_score(saved: list[_Saved]) -> list[_Saved]:
    """Those that were judged, the best first; of equals, the earlier."""
    judged = [(-one.score, one.epoch, one) for one in saved if one.score is not None]
    return [one for _, _, one in sorted(judged, key=lambda entry: entry[:2])]


def _first_whole(saved: list[_Saved]) -> bytes | None:
    for one in saved:
        content = one.place.read_bytes()
        if one.place.name.endswith(f"_{_hash(content)}.pt"):
            return content
        print(f"{one.place} is damaged and is left out", file=sys.stderr)
    return None


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:_HASH_LENGTH]
