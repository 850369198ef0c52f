"""Checkpoints of a training: written whole or not at all, verified when read, old ones removed.

Each is one file, `epoch_<number>[_score_<score>]_<hash>.pt`. The hash is the start of the
content's SHA-256, so a file that was cut short or changed is recognized without any other file
that could disagree with it. Knows no framework: contents are bytes.
"""

import hashlib
import re
import sys
from dataclasses import dataclass

from freqquest.storage import Location

_HASH_LENGTH = 16
_NAME = re.compile(r"epoch_(\d{6})(?:_score_(-?\d\.\d+e[+-]\d+))?_[0-9a-f]{16}\.pt")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Checkpoint:
    """A checkpoint file, described by its name."""

    file: Location
    epoch: int
    score: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkpoints:
    """The checkpoints in one folder: the last few, and the best one."""

    folder: Location
    """Folder of the checkpoint files, which may not exist yet."""

    num_kept: int = 2
    """Number of the last checkpoints to keep."""

    def save(self, epoch: int, content: bytes, score: float | None = None) -> None:
        """Write a checkpoint, and remove those that are neither among the last nor the best.

        Args:
            epoch: Epochs done; an earlier checkpoint of the same epoch is replaced.
            content: State from which the training continues.
            score: Higher is better; None if this epoch was not judged.
        """
        score_part = "" if score is None else f"_score_{score:.6e}"
        name = f"epoch_{epoch:06d}{score_part}_{_hash(content)}.pt"
        (self.folder / name).write_bytes(content)
        saved = self._list()
        kept = saved[: self.num_kept] + _by_score(saved)[:1]
        kept_epochs = {checkpoint.epoch for checkpoint in kept}
        for checkpoint in saved:
            is_replaced = checkpoint.epoch == epoch and checkpoint.file.name != name
            if checkpoint.epoch not in kept_epochs or is_replaced:
                checkpoint.file.remove_file()

    def last(self) -> bytes | None:
        """Return the newest checkpoint that is whole, if any. Corrupt ones are named."""
        return _first_whole(self._list())

    def best(self) -> bytes | None:
        """Return the checkpoint with the highest score among those that are whole, if any."""
        return _first_whole(_by_score(self._list()))

    def _list(self) -> list[_Checkpoint]:
        """Return all checkpoints, the newest first."""
        matches = ((_NAME.fullmatch(file.name), file) for file in self.folder.list_dir())
        checkpoints = [
            _Checkpoint(
                file=file,
                epoch=int(match[1]),
                score=None if match[2] is None else float(match[2]),
            )
            for match, file in matches
            if match
        ]
        return sorted(checkpoints, key=lambda checkpoint: checkpoint.epoch, reverse=True)


def _by_score(checkpoints: list[_Checkpoint]) -> list[_Checkpoint]:
    """Return those with a score, the best first; of equals, the earlier first."""
    scored = [
        (-checkpoint.score, checkpoint.epoch, checkpoint)
        for checkpoint in checkpoints
        if checkpoint.score is not None
    ]
    return [checkpoint for _, _, checkpoint in sorted(scored, key=lambda entry: entry[:2])]


def _first_whole(checkpoints: list[_Checkpoint]) -> bytes | None:
    for checkpoint in checkpoints:
        content = checkpoint.file.read_bytes()
        if checkpoint.file.name.endswith(f"_{_hash(content)}.pt"):
            return content
        print(f"{checkpoint.file} is corrupt and is ignored", file=sys.stderr)
    return None


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:_HASH_LENGTH]
