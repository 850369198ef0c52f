import pandas as pd

from freqquest.benchmark.many_clips_dataset import repeat_rows
from freqquest.cnn.labeled_clips import load_labeled
from freqquest.dataset.manifest import load_manifest
from freqquest.storage import locate


def test_rows_are_repeated_with_clips_and_recordings_of_their_own(dataset_dir, tmp_path):
    small = load_manifest(locate(dataset_dir))
    num_small = small.num_rows["train"] + small.num_rows["validation"]
    large = locate(tmp_path / "large")
    repeat_rows(locate(dataset_dir), 3 * num_small - 1, large)
    manifest = load_manifest(large)
    assert manifest.num_rows["train"] == 3 * small.num_rows["train"]
    assert manifest.num_rows["validation"] == 3 * small.num_rows["validation"] - 1
    assert {shard.split for shard in manifest.shards} == {"train", "validation"}
    assert manifest.num_recordings["train"] == {
        label: 3 * count for label, count in small.num_recordings["train"].items()
    }
    clips, few = load_labeled(large, manifest), load_labeled(locate(dataset_dir), small)
    assert len(clips.labels) == 3 * num_small - 1
    assert pd.Series(clips.recordings).nunique() == 3 * pd.Series(few.recordings).nunique()
    assert set(clips.paths) == set(few.paths)
