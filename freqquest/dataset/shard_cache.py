"""Copies of shards of remote datasets on this machine's disk. No Ray."""

import os
import shutil
import tempfile
from pathlib import Path

from freqquest.dataset.manifest import Shard
from freqquest.dataset.verify import read_verified
from freqquest.storage import Location, locate

_MAX_BYTES = 20 * 2**30
_MAX_SHARE = 0.25
"""Most bytes of copies, and their share of the disk that is free without them."""


class ShardCache:
    """A folder with the shards that were used last, which all processes of a user share.

    A shard is named for its hash, so that datasets with equal shards share them.
    """

    def __init__(self, folder: Path | None = None) -> None:
        """Use a folder, by default one for temporary files."""
        temporary = Path(tempfile.gettempdir())
        self._folder = folder or temporary / f"freqquest-shards-{os.getuid()}"

    def fetch(self, dataset: Location, shard: Shard) -> Location:
        """Return a local dataset with this shard: the dataset itself, or its copies.

        Raises:
            UserError: The shard is missing or corrupt.
            OSError: It cannot be copied.
        """
        if dataset.is_local:
            return dataset
        copies = locate(self._folder / shard.sha256)
        copy = copies / shard.path
        if copy.is_file() and copy.num_bytes() == shard.num_bytes:
            Path(copies.path).touch()
            return copies
        content = read_verified(dataset, shard)
        self._make_room(shard.num_bytes)
        copy.write_bytes(content)
        return copies

    def _make_room(self, num_bytes: int) -> None:
        """Remove the copies that were used least recently, until there is room."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        oldest_first = sorted(self._folder.iterdir(), key=lambda copies: copies.stat().st_mtime)
        sizes = {copies: _num_bytes(copies) for copies in oldest_first}
        total = sum(sizes.values())
        free = shutil.disk_usage(self._folder).free + total
        limit = min(_MAX_BYTES, int(_MAX_SHARE * free))
        for copies in oldest_first:
            if total + num_bytes <= limit:
                break
            shutil.rmtree(copies, ignore_errors=True)  # another process may remove it too
            total -= sizes[copies]


def _num_bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
