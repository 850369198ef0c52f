import shutil

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import soundfile

from freqquest.audio.clip import ClipConfig
from freqquest.audio.spectrogram import log_mel
from freqquest.dataset.config import PreprocessConfig
from freqquest.dataset.manifest import load_manifest
from freqquest.dataset.plan import plan_dataset
from freqquest.dataset.read import read_rows
from freqquest.dataset.split import describe_windows
from freqquest.dataset.survey import find_windows
from freqquest.dataset.write import write_dataset
from freqquest.errors import UserError
from freqquest.storage import locate
from tests.conftest import RATE_HZ, tone


@pytest.fixture(scope="module")
def long_files(tmp_path_factory):
    """Three files of each of two classes, 1.5 to 3.25 s long, the second half of them louder."""
    root = tmp_path_factory.mktemp("long")
    for label, pitch_hz in {"low": 200.0, "high": 3000.0}.items():
        (root / label).mkdir()
        for number, duration_s in enumerate((1.5, 2.0, 3.25)):
            sound = tone(pitch_hz, duration_s, seed=number)
            sound[: len(sound) // 2] *= 0.1
            soundfile.write(root / label / f"{label[0]}{number}.wav", sound, RATE_HZ)
    return root


def windows_of(audio_dir, **settings):
    config = PreprocessConfig(
        audio_dir=str(audio_dir), dataset_dir="unused", duration=1.0, **settings
    )
    return find_windows(plan_dataset(config).clips, config)


def test_the_first_window_needs_no_lengths(long_files):
    windows, rejected = windows_of(long_files)
    assert windows["clip_id"].tolist() == sorted(windows["clip_id"])
    assert len(windows) == 6
    assert rejected.empty


def test_every_window_is_a_row_with_its_file_start_and_recording(long_files, local_ray):
    windows, rejected = windows_of(long_files, windows="all")
    of_file = windows[windows["path"].str.endswith("l2.wav")]
    assert of_file["clip_id"].tolist() == [
        "low/l2.wav#0",
        "low/l2.wav#1",
        "low/l2.wav#2",
        "low/l2.wav#2.25",
    ]
    assert of_file["start_s"].tolist() == [0, 1, 2, 2.25]
    assert of_file["recording"].unique().tolist() == ["low/l2.wav"]
    assert of_file["split"].nunique() == 1
    assert len(windows) == 2 * (2 + 2 + 4)
    assert windows.index.is_unique  # joins would repeat the windows of a file
    assert rejected.empty


def test_the_loudest_window_is_found(long_files, local_ray):
    windows, _ = windows_of(long_files, windows="loudest", window_hop=0.25)
    starts = dict(zip(windows["clip_id"].str.rsplit("#").str[0], windows["start_s"], strict=True))
    assert starts["low/l1.wav"] == 1.0
    assert starts["low/l2.wav"] >= 1.5
    assert len(windows) == 6


def test_a_file_that_cannot_be_measured_is_rejected(long_files, local_ray, tmp_path):
    (tmp_path / "a.wav").write_bytes(b"no sound")
    config = PreprocessConfig(audio_dir="unused", dataset_dir="unused", windows="all")
    clips = pd.DataFrame({"clip_id": ["a.wav"], "path": [str(tmp_path / "a.wav")]})
    windows, rejected = find_windows(clips.assign(start_s=0.0, end_s=np.nan, source=None), config)
    assert windows.empty
    assert rejected["path"].tolist() == [str(tmp_path / "a.wav")]
    assert "not readable as audio" in rejected["reason"][0]


def test_parts_beyond_their_file_are_rejected_with_its_length(long_files, local_ray):
    config = PreprocessConfig(audio_dir="unused", dataset_dir="unused", duration=1.0)
    path = str(long_files / "low" / "l0.wav")
    clips = pd.DataFrame(
        {"start_s": [0.5, 0.5, 1.6, 0.1006], "end_s": [1.5, 1.7, 1.65, 0.1009], "path": path}
    )
    clips["clip_id"] = "l0.wav#" + clips["start_s"].astype(str)
    clips["source"] = [f"a.csv line {line}" for line in (2, 3, 4, 5)]
    windows, rejected = find_windows(clips, config)
    assert windows["clip_id"].tolist() == ["l0.wav#0.5"]
    assert rejected["reason"].tolist() == [
        "a.csv line 3: annotated from 0.5 to 1.7 s, but the file ends at 1.50 s",
        "a.csv line 4: annotated from 1.6 to 1.65 s, but the file ends at 1.50 s",
        "a.csv line 5: annotated from 0.1006 to 0.1009 s, which is less than a millisecond",
    ]


def test_a_dataset_of_windows_holds_the_sound_of_each(long_files, local_ray, tmp_path):
    config = PreprocessConfig(
        audio_dir=str(long_files),
        dataset_dir=str(tmp_path / "dataset"),
        duration=1.0,
        windows="all",
        clips_per_shard=5,
    )
    manifest = write_dataset(config)
    dataset = locate(config.dataset_dir)
    rows = read_rows(dataset, manifest)
    assert len(rows) == 16
    assert sum(manifest.num_rows.values()) == 16
    assert rows.groupby("path")["split"].nunique().max() == 1
    seconds = sum(sum(by_class.values()) for by_class in manifest.seconds.values())
    assert seconds == pytest.approx(16, abs=0.001)
    shard = manifest.shards[0]
    table = pq.read_table((dataset / shard.path).path)
    spectrograms = table["cgan"].chunk(0).to_numpy_ndarray()
    clip = ClipConfig(duration_s=1.0)
    for row, found in zip(table.select(["path", "start_s"]).to_pylist(), spectrograms, strict=True):
        samples, _ = soundfile.read(row["path"], dtype="float32")
        start = round(row["start_s"] * RATE_HZ)
        part = samples[start : start + clip.num_samples]
        expected = log_mel(part, manifest.views["cgan"], RATE_HZ)
        np.testing.assert_allclose(found, expected, atol=0.02)
    assert write_dataset(config) == load_manifest(dataset)


def test_files_of_which_none_can_be_measured_leave_the_folder_as_it_was(local_ray, tmp_path):
    for name in ("a/1.wav", "a/2.wav", "b/1.wav", "b/2.wav"):
        (tmp_path / "audio" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "audio" / name).write_bytes(b"no sound: " + name.encode())
    config = PreprocessConfig(
        audio_dir=str(tmp_path / "audio"), dataset_dir=str(tmp_path / "dataset"), windows="all"
    )
    with pytest.raises(UserError, match=r"none of the 4 files can be read; the first is .*a/1.wav"):
        write_dataset(config)
    assert not (tmp_path / "dataset").exists()


def test_unreadable_files_are_counted_as_files_not_as_windows(long_files, local_ray, tmp_path):
    shutil.copytree(long_files, tmp_path / "audio")
    for number in range(2):
        (tmp_path / "audio" / "low" / f"bad{number}.wav").write_bytes(b"no sound %d" % number)
    config = PreprocessConfig(
        audio_dir=str(tmp_path / "audio"),
        dataset_dir=str(tmp_path / "dataset"),
        duration=0.5,
        windows="all",
        window_hop=0.05,
        max_quarantined_fraction=0.2,
    )
    with pytest.raises(UserError, match=r"2 of 8 clips were rejected, more than .*=0.2` allows"):
        write_dataset(config)


def test_a_division_of_windows_that_is_far_from_that_of_files_is_told():
    windows = pd.DataFrame({"label": ["a"] * 10 + ["b"] * 10})
    windows["split"] = ["train"] * 8 + ["validation"] * 2 + ["train"] * 2 + ["validation"] * 8
    files = pd.DataFrame(
        {"label": list("aaaaabbbbb"), "split": (["train"] * 4 + ["validation"]) * 2}
    )
    note = describe_windows(windows, files, 0.2)
    assert note.startswith(" (0.8 of the b windows instead of 0.2: files")
    assert describe_windows(windows[:10], files[:5], 0.2) == ""
    assert describe_windows(windows, windows, 0.2) == "", "the split's own note tells it"
