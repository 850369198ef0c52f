"""Copies of shards of remote datasets on this machine's disk. No Ray."""

import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from freqquest.dataset.manifest import Shard, sha256
from freqquest.dataset.verify import read_verified
from freqquest.storage import Location, locate

_MAX_BYTES = 20 * 2**30
_MAX_SHARE = 0.25
"""Most bytes of copies, and their share of the disk that is free without them."""


class ShardCache:
    """A folder with the shards that were used last, which all processes of a user share.

    A copy is named for its hash. Any process may remove it at any time.
    """

    def __init__(self, folder: Path | None = None) -> None:
        """Use a folder, by default one for temporary files."""
        temporary = Path(tempfile.gettempdir())
        self._folder = folder or temporary / f"freqquest-shards-{os.getuid()}"

    def read(self, dataset: Location, shard: Shard) -> bytes:
        """Return the bytes of a shard, from its copy if there is one.

        Raises:
            UserError: The shard is missing or corrupt.
            OSError: Its storage cannot be read.
        """
        copy = self._folder / shard.sha256
        with suppress(OSError):
            content = copy.read_bytes()
            if sha256(content) == shard.sha256:
                os.utime(copy)
                return content
        content = read_verified(dataset, shard)
        with suppress(OSError):  # without a copy, it is read from its storage again
            self._make_room(shard.num_bytes)
            locate(copy).write_bytes(content)
        return content

    def _make_room(self, num_bytes: int) -> None:
        """Remove the copies that were used least recently, until there is room."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        copies = []
        for entry in os.scandir(self._folder):
            with suppress(FileNotFoundError):
                copies.append((entry.stat().st_mtime, entry.stat().st_size, entry.path))
        total = sum(size for _, size, _ in copies)
        free = shutil.disk_usage(self._folder).free + total
        limit = min(_MAX_BYTES, int(_MAX_SHARE * free))
        for _, size, path in sorted(copies):
            if total + num_bytes <= limit:
                break
            Path(path).unlink(missing_ok=True)
            total -= size
