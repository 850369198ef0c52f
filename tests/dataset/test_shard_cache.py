import os
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow.fs as fs
import pytest

from freqquest.dataset import shard_cache
from freqquest.dataset.manifest import Shard, sha256
from freqquest.dataset.shard_cache import ShardCache
from freqquest.errors import UserError
from freqquest.storage import Location


@pytest.fixture
def remote(tmp_path):
    """A dataset that is not on a local disk."""
    (tmp_path / "remote" / "train").mkdir(parents=True)
    return Location(fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem()), "remote")


def write(remote, number, size=100) -> Shard:
    content = bytes([number]) * size
    shard = Shard(
        split="train",
        name=f"{number}.parquet",
        num_rows=1,
        num_bytes=size,
        sha256=sha256(content),
    )
    (remote / shard.path).write_bytes(content)
    return shard


def content(shard):
    return bytes([int(shard.name.split(".")[0])]) * shard.num_bytes


def cached(folder, shards):
    hashes = {path.name for path in folder.iterdir()} if folder.exists() else set()
    return [number for number, shard in enumerate(shards) if shard.sha256 in hashes]


def test_a_remote_shard_is_copied_once(remote, tmp_path):
    shard, cache = write(remote, 1), ShardCache(tmp_path / "cache")
    assert cache.read(remote, shard) == content(shard)
    (remote / shard.path).remove_file()
    assert cache.read(remote, shard) == content(shard)
    assert (tmp_path / "cache").stat().st_mode & 0o077 == 0  # other users cannot change it


def test_those_that_were_used_least_recently_make_room(remote, tmp_path, monkeypatch):
    monkeypatch.setattr(shard_cache, "_MAX_BYTES", 250)
    folder, now = tmp_path / "cache", time.time()
    cache, shards = ShardCache(folder), [write(remote, number) for number in range(4)]
    for age, shard in enumerate(shards[:2]):
        cache.read(remote, shard)
        os.utime(folder / shard.sha256, (now - 100 + age, now - 100 + age))
    cache.read(remote, shards[0])
    cache.read(remote, shards[2])
    assert cached(folder, shards) == [0, 2]


def test_a_share_of_the_disk_stays_free(remote, tmp_path, monkeypatch):
    folder, shards = tmp_path / "cache", [write(remote, number) for number in range(2)]
    usage = shard_cache.shutil.disk_usage(tmp_path)._replace(free=500)
    monkeypatch.setattr(shard_cache.shutil, "disk_usage", lambda _: usage)
    for shard in shards:
        ShardCache(folder).read(remote, shard)
    assert cached(folder, shards) == [1]


@pytest.mark.parametrize("damaged", [b"half", b"?" * 100])
def test_a_damaged_copy_is_made_again(remote, tmp_path, damaged):
    shard, cache = write(remote, 1), ShardCache(tmp_path / "cache")
    cache.read(remote, shard)
    copy = tmp_path / "cache" / shard.sha256
    copy.write_bytes(damaged)
    assert cache.read(remote, shard) == content(shard)
    assert copy.read_bytes() == content(shard)


def test_without_room_for_copies_shards_are_read_from_their_storage(remote, tmp_path):
    (tmp_path / "cache").write_text("a file")
    shard = write(remote, 1)
    assert ShardCache(tmp_path / "cache").read(remote, shard) == content(shard)


def test_a_corrupt_shard_is_not_copied(remote, tmp_path):
    shard = write(remote, 1)
    (remote / shard.path).write_bytes(b"?" * 100)
    with pytest.raises(UserError, match="is corrupt"):
        ShardCache(tmp_path / "cache").read(remote, shard)
    assert cached(tmp_path / "cache", [shard]) == []


def test_processes_share_the_copies(remote, tmp_path, monkeypatch):
    monkeypatch.setattr(shard_cache, "_MAX_BYTES", 500)
    shards = [write(remote, number) for number in range(12)]

    def read(seed):
        order = np.random.default_rng(seed).permutation(60) % 12
        return all(
            ShardCache(tmp_path / "cache").read(remote, shards[number]) == content(shards[number])
            for number in order
        )

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(read, range(16)))
