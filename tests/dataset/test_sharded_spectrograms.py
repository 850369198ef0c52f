import pickle
import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow.fs as fs
import pytest

from freqquest.dataset import sharded_spectrograms
from freqquest.dataset.manifest import load_manifest
from freqquest.dataset.read import shards_of
from freqquest.dataset.shard_cache import ShardCache
from freqquest.dataset.sharded_spectrograms import Rows, ShardedSpectrograms
from freqquest.errors import UserError
from freqquest.storage import Location, locate
from tests.splits import read_split

CLIP_BYTES = 2 * 128 * 173
SHARD_BYTES = 7 * CLIP_BYTES  # the training split has 32 clips in five shards


def open_split(dataset_dir, max_bytes=100 * SHARD_BYTES, **settings):
    dataset = locate(dataset_dir)
    manifest = load_manifest(dataset)
    shards = shards_of(manifest, "train", dataset)
    return ShardedSpectrograms(dataset, manifest, shards, "cnn", max_bytes=max_bytes, **settings)


@pytest.fixture
def expected(dataset_dir):
    dataset = locate(dataset_dir)
    return read_split(dataset, load_manifest(dataset), "train", "cnn").spectrograms


@pytest.fixture
def reads(monkeypatch):
    """Shards that were read, by name, and whether they were verified."""
    found, read = [], sharded_spectrograms.read_table

    def note(dataset, shard, columns, *, verify):
        found.append((shard.name, verify))
        return read(dataset, shard, columns, verify=verify)

    monkeypatch.setattr(sharded_spectrograms, "read_table", note)
    return found


@pytest.mark.parametrize("max_bytes", [1, 2 * SHARD_BYTES, 100 * SHARD_BYTES])
def test_any_rows_are_read_as_those_of_an_array(dataset_dir, expected, max_bytes):
    spectrograms = open_split(dataset_dir, max_bytes)
    assert spectrograms.shape == expected.shape
    assert len(spectrograms) == 32
    for rows in (
        np.array([31, 0, 7, 6, 7]),
        np.array([], int),
        slice(5, 20),
        slice(None),
        slice(-3, None),
        13,
        np.int64(31),
    ):
        found = spectrograms[rows]
        np.testing.assert_array_equal(found, expected[rows])
        assert found.dtype == np.float16
    np.testing.assert_array_equal(np.asarray(spectrograms, np.float32), expected)


def test_shards_in_memory_are_bounded_and_verified_once(dataset_dir, reads):
    spectrograms = open_split(dataset_dir, max_bytes=2 * SHARD_BYTES)
    for row in (0, 1, 7, 2, 14, 3, 8):
        spectrograms[row]
    names = [f"part-{number:05d}.parquet" for number in (0, 1, 2, 1)]
    assert reads == list(zip(names, [True, True, True, False], strict=True))


def test_shards_are_read_ahead_once(dataset_dir, reads):
    spectrograms = open_split(dataset_dir)
    spectrograms.prefetch([1, 2, 5])  # the last one is that of further clips
    spectrograms.prefetch([2])
    spectrograms[np.arange(7, 21)]
    assert [name for name, _ in reads] == ["part-00001.parquet", "part-00002.parquet"]


def test_rows_are_read_in_parts_and_those_that_follow_ahead(dataset_dir, expected, reads):
    rows = np.arange(3, 32)
    part = Rows(open_split(dataset_dir), rows)
    assert (part.shape, len(part)) == ((29, 128, 173), 29)
    np.testing.assert_array_equal(part[0:4], expected[3:7])
    part._spectrograms._thread.shutdown()
    assert [name for name, _ in reads] == ["part-00000.parquet", "part-00001.parquet"]


def test_further_clips_follow_those_of_the_shards(dataset_dir, expected):
    plain = open_split(dataset_dir)
    extra = np.full((3, 128, 173), -7, np.float16)
    joined = plain.with_extra(extra[:1]).with_extra(extra[1:])
    assert (len(plain), len(joined)) == (32, 35)
    np.testing.assert_array_equal(joined[np.array([34, 2, 32])], [extra[0], expected[2], extra[0]])
    assert joined.shard_of(np.array([0, 31, 32])).tolist() == [0, 4, 5]


def test_copies_in_other_processes_begin_without_any_shard(dataset_dir, expected):
    spectrograms = open_split(dataset_dir)
    spectrograms[:]
    copied = pickle.dumps(spectrograms)
    assert len(copied) < CLIP_BYTES
    np.testing.assert_array_equal(pickle.loads(copied)[3], expected[3])


def test_threads_read_the_same(dataset_dir, expected):
    spectrograms = open_split(dataset_dir, max_bytes=2 * SHARD_BYTES)
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(spectrograms.__getitem__, list(range(32)) * 3))
    np.testing.assert_array_equal(found, np.tile(expected, (3, 1, 1)))


def test_a_corrupt_shard_is_named(dataset_dir, tmp_path):
    shutil.copytree(dataset_dir, tmp_path / "dataset")
    shard = tmp_path / "dataset" / "train" / "part-00002.parquet"
    shard.write_bytes(shard.read_bytes()[:-1] + b"?")
    spectrograms = open_split(tmp_path / "dataset")
    spectrograms[:14]
    with pytest.raises(UserError, match="part-00002.parquet is corrupt"):
        spectrograms[14]


def test_a_shard_that_could_not_be_read_is_tried_again(dataset_dir, expected, monkeypatch):
    spectrograms, read = open_split(dataset_dir), sharded_spectrograms.read_table
    monkeypatch.setattr(sharded_spectrograms, "read_table", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        spectrograms[0]
    monkeypatch.setattr(sharded_spectrograms, "read_table", read)
    np.testing.assert_array_equal(spectrograms[0], expected[0])


def test_a_remote_dataset_is_read_from_copies(dataset_dir, expected, tmp_path, monkeypatch):
    dataset = Location(fs.SubTreeFileSystem(str(dataset_dir.parent), fs.LocalFileSystem()), "")
    dataset = dataset / dataset_dir.name
    monkeypatch.setattr(sharded_spectrograms, "ShardCache", lambda: ShardCache(tmp_path / "copies"))
    manifest = load_manifest(dataset)
    shards = shards_of(manifest, "train", dataset)
    spectrograms = ShardedSpectrograms(dataset, manifest, shards, "cnn", max_bytes=SHARD_BYTES)
    np.testing.assert_array_equal(spectrograms[:], expected)
    assert len(list((tmp_path / "copies").iterdir())) == 5
