import os
import time

import pyarrow.fs as fs
import pytest

from freqquest.dataset import shard_cache
from freqquest.dataset.manifest import Shard, sha256
from freqquest.dataset.shard_cache import ShardCache
from freqquest.errors import UserError
from freqquest.storage import Location, locate


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


def cached(folder):
    return sorted(path.name for path in folder.rglob("*.parquet"))


def test_a_local_dataset_is_not_copied(tmp_path):
    dataset = locate(tmp_path)
    assert ShardCache(tmp_path / "cache").fetch(dataset, None) is dataset
    assert not (tmp_path / "cache").exists()


def test_a_remote_shard_is_copied_once(remote, tmp_path):
    shard, cache = write(remote, 1), ShardCache(tmp_path / "cache")
    copies = cache.fetch(remote, shard)
    assert copies.is_local
    assert (copies / shard.path).read_bytes() == bytes([1]) * 100
    (remote / shard.path).remove_file()
    assert cache.fetch(remote, shard) == copies
    assert (tmp_path / "cache").stat().st_mode & 0o077 == 0  # other users cannot change it


def test_those_that_were_used_least_recently_make_room(remote, tmp_path, monkeypatch):
    monkeypatch.setattr(shard_cache, "_MAX_BYTES", 250)
    folder, now = tmp_path / "cache", time.time()
    cache, shards = ShardCache(folder), [write(remote, number) for number in range(4)]
    for age, shard in enumerate(shards[:2]):
        cache.fetch(remote, shard)
        os.utime(folder / shard.sha256, (now - 100 + age, now - 100 + age))
    cache.fetch(remote, shards[0])
    cache.fetch(remote, shards[2])
    assert cached(folder) == ["0.parquet", "2.parquet"]


def test_a_share_of_the_disk_stays_free(remote, tmp_path, monkeypatch):
    folder, shards = tmp_path / "cache", [write(remote, number) for number in range(2)]
    usage = shard_cache.shutil.disk_usage(tmp_path)._replace(free=500)
    monkeypatch.setattr(shard_cache.shutil, "disk_usage", lambda _: usage)
    for shard in shards:
        ShardCache(folder).fetch(remote, shard)
    assert cached(folder) == ["1.parquet"]


def test_half_a_copy_is_made_again(remote, tmp_path):
    shard, cache = write(remote, 1), ShardCache(tmp_path / "cache")
    copy = cache.fetch(remote, shard) / shard.path
    copy.write_bytes(b"half")
    assert (cache.fetch(remote, shard) / shard.path).num_bytes() == 100


def test_a_corrupt_shard_is_not_copied(remote, tmp_path):
    shard = write(remote, 1)
    (remote / shard.path).write_bytes(b"?" * 100)
    with pytest.raises(UserError, match="is corrupt"):
        ShardCache(tmp_path / "cache").fetch(remote, shard)
    assert cached(tmp_path / "cache") == []
