import zlib
from itertools import groupby

import numpy as np
import pandas as pd
import pytest

from freqquest.dataset.config import PreprocessConfig
from freqquest.dataset.plan import ShardPlans, plan_dataset
from freqquest.errors import UserError


def test_folders_inside_each_other_are_refused(audio_dir, unlabeled_dir):
    with pytest.raises(UserError, match="`dataset_dir=.*/out` is inside `audio_dir=.*`: choose"):
        plan_dataset(PreprocessConfig(audio_dir=str(audio_dir), dataset_dir=str(audio_dir / "out")))
    with pytest.raises(
        UserError, match="low/.* is in both `audio_dir` and `test_dir`: keep test clips out"
    ):
        plan_dataset(
            PreprocessConfig(
                audio_dir=str(audio_dir), dataset_dir="unused", test_dir=str(audio_dir / "low")
            )
        )


def planned_rows(num_windows: list[int], num_augmented_copies: int = 0) -> list[tuple[str, int]]:
    """Return path, start and copy of the planned rows of files with these numbers of windows."""
    paths = np.repeat([f"{number}.wav" for number in range(len(num_windows))], num_windows)
    starts = np.concatenate([np.arange(count) for count in num_windows])
    clips = pd.DataFrame({"path": paths, "start_s": starts.astype(float), "split": "train"})
    clips["clip_id"] = clips["path"] + "#" + clips["start_s"].astype(str)
    for name, value in {"label": "a", "recording": "r", "source": None, "end_s": np.nan}.items():
        clips[name] = value
    clips["fold"] = pd.array([pd.NA] * len(clips), "Int64")
    clips["num_bytes"] = clips["modified_ns"] = 1
    config = PreprocessConfig(
        audio_dir="unused", dataset_dir="unused", num_augmented_copies=num_augmented_copies
    )
    shards = ShardPlans(clips, ["a"], config)
    return [
        (clip["path"], clip["start_s"], clip["copy"])
        for number in range(len(shards))
        for clip in shards[number].clips
    ]


@pytest.mark.parametrize("num_copies", [0, 2])
def test_rows_of_a_file_each_are_shuffled_one_by_one(num_copies):
    found = planned_rows([1] * 300, num_copies)
    versions = 1 + num_copies
    order = np.random.default_rng([0, zlib.crc32(b"train")]).permutation(300 * versions)
    assert found == [(f"{each // versions}.wav", 0.0, each % versions) for each in order]


@pytest.mark.parametrize("num_copies", [0, 2])
def test_neighboring_windows_of_a_file_stay_together_in_runs_of_16(num_copies):
    num_windows = [1, 50, 400, 3, 16, 33]
    rows = planned_rows(num_windows, num_copies)
    every = [
        (f"{file}.wav", float(start), copy)
        for file, count in enumerate(num_windows)
        for start in range(count)
        for copy in range(1 + num_copies)
    ]
    assert sorted(rows) == sorted(every)
    runs = [[*run] for _, run in groupby(rows, lambda row: (row[0], row[1] // 16, row[2]))]
    assert len(runs) == (1 + num_copies) * sum(-(-count // 16) for count in num_windows)
    assert runs != sorted(runs)
    assert all(run == sorted(run) for run in runs)


def test_a_file_is_in_a_limited_number_of_runs_however_long_it_is():
    rows = planned_rows([20_000, 1])
    ends = np.flatnonzero(np.diff([start for path, start, _ in rows if path == "0.wav"]) != 1)
    assert 20 < len(ends) + 1 <= 32
