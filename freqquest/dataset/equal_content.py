"""Local files of equal content, found without reading the whole of a million files.

NumPy and pandas only. Sizes are compared first, then 4 KiB of the files of one size, then the whole
of the files that still agree; hard links of a file are read once.
"""

import hashlib
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pandas as pd

_CHUNK_BYTES = 4096
_PIECE_BYTES = 2**20
_NUM_THREADS = 16
_BATCH_FILES = 250
_BATCHES_AT_ONCE = 160
"""Batches that threads read before it is measured again whether the storage is slow."""
_LONG_WAIT_S = 50e-6
"""Wait for a file above which threads are faster than one thread."""


def first_equal_files(paths: pd.Series, sizes: pd.Series) -> pd.Series:
    """Return for each file the first file of the same content, which is itself for most.

    Args:
        paths: Local paths.
        sizes: Sizes of the files, in bytes. Empty files equal none.
    """
    keys = _repeated(sizes[sizes > 0].to_frame("size"))
    keys["chunk"] = _digests(paths[keys.index], _digest_middle)
    keys = _repeated(keys)
    keys["inode"] = _digests(paths[keys.index], _identify)
    distinct = keys[keys["size"] > _CHUNK_BYTES].drop_duplicates("inode")
    whole = _digests(paths[distinct.index], _digest_whole)
    keys["whole"] = keys["inode"].map(pd.Series(whole, distinct["inode"], dtype="Int64"))
    keys = _repeated(keys[["size", "chunk", "whole"]])
    groups = keys.groupby(list(keys.columns), dropna=False).ngroup()
    first = paths.copy()
    first.loc[keys.index] = paths[keys.index].groupby(groups).transform("first")
    return first


def _repeated(keys: pd.DataFrame) -> pd.DataFrame:
    return keys[keys.duplicated(keep=False)].copy()


def _digests(paths: pd.Series, digest: Callable[[str], bytes]) -> np.ndarray:
    """Return a 64-bit hash of each file; an unreadable file equals none.

    Several threads read from storage that is slow to answer. From a fast one, they take five times
    as long as a single thread: each system call passes Python's lock to another thread.
    """
    batches = [paths.iloc[i : i + _BATCH_FILES] for i in range(0, len(paths), _BATCH_FILES)]
    hashes: list[bytes] = []
    with ThreadPoolExecutor(_NUM_THREADS) as threads:
        while len(hashes) < len(batches):
            batch = batches[len(hashes)]
            started_s = time.perf_counter() - time.thread_time()
            hashes.append(_digest_batch(batch, digest))
            waited_s = time.perf_counter() - time.thread_time() - started_s
            if waited_s > _LONG_WAIT_S * len(batch):
                following = batches[len(hashes) : len(hashes) + _BATCHES_AT_ONCE]
                hashes += threads.map(partial(_digest_batch, digest=digest), following)
    return np.frombuffer(b"".join(hashes), np.int64)


def _digest_batch(paths: pd.Series, digest: Callable[[str], bytes]) -> bytes:
    return b"".join(_digest_or_random(path, digest) for path in paths)


def _digest_or_random(path: str, digest: Callable[[str], bytes]) -> bytes:
    try:
        return digest(path)
    except OSError:
        return os.urandom(8)


def _digest_middle(path: str) -> bytes:
    """Return a hash of the middle of a file: many sounds begin and end with the same silence."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        middle = max(0, (os.fstat(descriptor).st_size - _CHUNK_BYTES) // 2)
        return _hash(os.pread(descriptor, _CHUNK_BYTES, middle))
    finally:
        os.close(descriptor)


def _digest_whole(path: str) -> bytes:
    hasher = hashlib.blake2b(digest_size=8)
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123  # half the time of Path.open
        while piece := file.read(_PIECE_BYTES):
            hasher.update(piece)
    return hasher.digest()


def _identify(path: str) -> bytes:
    """Return a hash of the file's device and number, which hard links share."""
    status = os.stat(path)  # noqa: PTH116  # a tenth of the time of Path.stat
    return _hash(f"{status.st_dev} {status.st_ino}".encode())


def _hash(content: bytes) -> bytes:
    """Return Python's own hash, which holds in this process alone; half the time of BLAKE2."""
    return hash(content).to_bytes(8, sys.byteorder, signed=True)
