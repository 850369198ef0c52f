"""Spectrograms of a dataset that is too large for memory, read from its shards when needed.

pyarrow and NumPy; no Ray. Shapes: N clips, M mel bands, T frames.
"""

import io
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import Any

import numpy as np

from freqquest.dataset.manifest import Manifest, Shard
from freqquest.dataset.read import read_columns, read_table, to_array
from freqquest.dataset.shard_cache import ShardCache
from freqquest.dataset.views import ViewName
from freqquest.storage import Location


class ShardedSpectrograms:
    """Spectrograms `[N, M, T]`, float16, that are indexed like an array.

    Each process keeps the shards that it used last. Copies in other processes begin without any.
    """

    def __init__(
        self,
        dataset: Location,
        manifest: Manifest,
        shards: Sequence[Shard],
        view: ViewName,
        *,
        max_bytes: int,
        extra: np.ndarray | None = None,
    ) -> None:
        """Prepare to read; no file is opened yet.

        Args:
            dataset: Folder of the dataset.
            manifest: Its manifest.
            shards: Shards of the clips, in their order.
            view: View of the spectrograms.
            max_bytes: Most bytes of spectrograms of shards in memory.
            extra: Spectrograms `[N, M, T]` of further clips, which stay in memory.
        """
        self._dataset, self._shards, self._view = dataset, list(shards), view
        self._config = manifest.views[view]
        sides = self._config.num_mels, self._config.num_frames
        self._extra = np.empty((0, *sides), np.float16) if extra is None else extra
        num_rows = np.array([shard.num_rows for shard in shards])
        self._ends = np.cumsum(num_rows)
        self.max_bytes = max_bytes
        """Most bytes of spectrograms of shards in memory."""
        self.shard_bytes = 2 * num_rows * sides[0] * sides[1]
        """Bytes of each shard's spectrograms."""
        self.shape = (int(self._ends[-1]) + len(self._extra), *sides)
        """`(N, M, T)`."""
        self._open()

    def _open(self) -> None:
        """Begin without any shard in memory."""
        self._loaded: OrderedDict[int, Future[np.ndarray]] = OrderedDict()
        self._held_bytes = 0
        self._verified: set[int] = set()
        self._lock, self._thread = Lock(), ThreadPoolExecutor(1)

    def __getstate__(self) -> dict[str, Any]:
        hidden = ("_loaded", "_held_bytes", "_verified", "_lock", "_thread")
        return {name: value for name, value in vars(self).items() if name not in hidden}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._open()

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: int | slice | np.ndarray) -> np.ndarray:
        """Return the spectrograms of some rows `[N, M, T]`, or of one `[M, T]`.

        Raises:
            UserError: A shard is missing or corrupt.
        """
        if isinstance(rows, int | np.integer):
            spectrogram: np.ndarray = self[np.array([rows])][0]
            return spectrogram
        if isinstance(rows, slice):
            rows = np.arange(*rows.indices(len(self)))
        taken = np.empty((len(rows), *self.shape[1:]), np.float16)
        numbers = self.shard_of(rows)
        for number in np.unique(numbers):
            places = np.flatnonzero(numbers == number)
            taken[places] = self._rows_of(number)[rows[places] - self._start(number)]
        return taken

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self[:].astype(dtype or np.float16)

    def with_extra(self, extra: np.ndarray) -> "ShardedSpectrograms":
        """Return the same spectrograms, followed by those of further clips `[N, M, T]`."""
        other = object.__new__(ShardedSpectrograms)
        other.__setstate__(self.__getstate__())
        other._extra = np.concatenate([self._extra, extra])  # of the same class
        other.shape = (len(self) + len(extra), *self.shape[1:])
        return other

    def shard_of(self, rows: np.ndarray) -> np.ndarray:
        """Return the number of each row's shard; that of the further clips is the number of all."""
        numbers: np.ndarray = np.searchsorted(self._ends, rows, side="right")
        return numbers

    def prefetch(self, numbers: Iterable[int]) -> None:
        """Begin to read shards in the background."""
        for number in numbers:
            if number < len(self._shards):
                self._load(number)

    def _start(self, number: int) -> int:
        return int(self._ends[number - 1]) if number else 0

    def _rows_of(self, number: int) -> np.ndarray:
        return self._extra if number == len(self._shards) else self._load(number).result()

    def _load(self, number: int) -> "Future[np.ndarray]":
        """Return a shard's spectrograms, and forget those that were used least recently."""
        with self._lock:
            future = self._loaded.pop(number, None)
            if future is None:
                self._held_bytes += self.shard_bytes[number]
            if future is None or (future.done() and future.exception()):
                future = self._thread.submit(self._read, number)
            self._loaded[number] = future
            while len(self._loaded) > 1 and self._held_bytes > self.max_bytes:
                forgotten, _ = self._loaded.popitem(last=False)
                self._held_bytes -= self.shard_bytes[forgotten]
            return future

    def _read(self, number: int) -> np.ndarray:
        """Read a shard, and verify it the first time."""
        shard = self._shards[number]
        if self._dataset.is_local:
            is_new = number not in self._verified
            table = read_table(self._dataset, shard, [self._view], verify=is_new)
            self._verified.add(number)
        else:
            content = ShardCache().read(self._dataset, shard)
            table = read_columns(io.BytesIO(content), [self._view])
        return to_array(table[self._view], self._config)


class Rows:
    """Some rows of spectrograms, read when they are asked for, from first to last."""

    def __init__(self, spectrograms: ShardedSpectrograms, rows: np.ndarray) -> None:
        """Take rows `[N]` of spectrograms."""
        self._spectrograms, self._rows = spectrograms, rows
        self.shape = (len(rows), *spectrograms.shape[1:])
        """`(N, M, T)`."""

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, part: slice) -> np.ndarray:
        """Return the spectrograms `[N, M, T]` of a part of the rows; those after it are read ahead.

        Raises:
            UserError: A shard is missing or corrupt.
        """
        taken = self._spectrograms[self._rows[part]]
        following = self._rows[part.stop : part.stop + len(taken)]
        self._spectrograms.prefetch(np.unique(self._spectrograms.shard_of(following)).tolist())
        return taken
