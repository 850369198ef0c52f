import pytest

from freqquest.dataset.dataset import Dataset
from freqquest.dataset.verify import verify_dataset
from freqquest.errors import UserError


def test_every_missing_or_corrupt_shard_is_named(copy_of_dataset):
    assert "all 7 shards match their SHA-256" in verify_dataset(str(copy_of_dataset))
    dataset = Dataset.open(copy_of_dataset)
    dataset.verify()
    corrupt = copy_of_dataset / "train" / "part-00002.parquet"
    content = bytearray(corrupt.read_bytes())
    content[len(content) // 2] ^= 1
    corrupt.write_bytes(content)
    (copy_of_dataset / "validation" / "part-00000.parquet").unlink()
    with pytest.raises(UserError) as caught:
        verify_dataset(str(copy_of_dataset))
    lines = str(caught.value).splitlines()
    assert lines[0] == "2 of 7 shards are missing or corrupt:"
    assert "train/part-00002.parquet is corrupt" in lines[1]
    assert "validation/part-00000.parquet is missing" in lines[2]
    with pytest.raises(UserError, match="2 of 7 shards are missing or corrupt"):
        dataset.verify()
