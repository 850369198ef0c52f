"""The demo clips: their folder, their reproducibility, and their fitness for training."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from freqquest.audio.demo_clips import CLASS_NAMES, DemoConfig, DemoFolder, write_demo_clips

TINY = DemoConfig(
    num_recordings=2,
    clips_per_recording=2,
    num_test_recordings=1,
    clips_per_test_recording=2,
    duration_s=1.0,
)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> DemoFolder:
    return write_demo_clips(tmp_path_factory.mktemp("demo"), TINY)


def read_files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def read_classes(path: Path) -> dict[str, str]:
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["ID", "Class"]
    return {row["ID"]: row["Class"] for row in rows}


def test_training_clips_are_named_as_in_urbansound8k_in_one_folder_per_class(tiny):
    assert sorted(path.name for path in tiny.train_dir.iterdir()) == sorted(CLASS_NAMES)
    class_of_recording = {}
    for class_index, class_name in enumerate(CLASS_NAMES):
        names = [path.stem.split("-") for path in (tiny.train_dir / class_name).iterdir()]
        assert sorted(slice_index for _, _, _, slice_index in names) == ["0", "0", "1", "1"]
        assert {(index, occurrence) for _, index, occurrence, _ in names} == {
            (str(class_index), "0")
        }
        class_of_recording |= {int(recording): class_name for recording, _, _, _ in names}
    assert len(class_of_recording) == TINY.num_recordings * len(CLASS_NAMES), (
        "a number belongs to one recording"
    )


def test_clips_are_16_bit_mono_of_the_configured_length(tiny):
    for path in [*tiny.train_dir.rglob("*.wav"), *tiny.test_dir.iterdir()]:
        info = soundfile.info(path)
        assert (info.samplerate, info.frames, info.channels, info.subtype) == (
            22_050,
            22_050,
            1,
            "PCM_16",
        )


def test_test_clips_cover_every_class_in_random_order(tiny):
    labels = read_classes(tiny.test_labels)
    assert list(labels) == [f"clip_{number:03d}.wav" for number in range(10)]
    assert sorted(labels) == sorted(path.name for path in tiny.test_dir.iterdir())
    assert sorted(labels.values()) == sorted(2 * CLASS_NAMES)
    assert list(labels.values()) != sorted(labels.values())


def test_sample_submission_lists_every_test_clip_out_of_order_with_one_class(tiny):
    sample = read_classes(tiny.sample_submission)
    assert sorted(sample) == sorted(path.name for path in tiny.test_dir.iterdir())
    assert list(sample) != sorted(sample)
    assert len(set(sample.values())) == 1


def test_clips_are_loud_enough_unclipped_and_without_offset(tiny):
    levels_db = []
    for path in [*tiny.train_dir.rglob("*.wav"), *tiny.test_dir.iterdir()]:
        clip, _ = soundfile.read(path)
        assert np.abs(clip).max() <= 0.98
        assert abs(clip.mean()) < 1e-3
        levels_db.append(10 * np.log10(np.mean(clip**2)))
    assert min(levels_db) > -40
    assert max(levels_db) < -10
    assert np.ptp(levels_db) > 6, "recordings differ in level"


def test_the_same_configuration_gives_the_same_bytes(tiny, tmp_path):
    write_demo_clips(tmp_path, TINY)
    assert read_files(tmp_path) == read_files(tiny.train_dir.parent)


def test_every_clip_is_different(tiny):
    clips = [
        path.read_bytes() for path in [*tiny.train_dir.rglob("*.wav"), *tiny.test_dir.iterdir()]
    ]
    assert len(set(clips)) == len(clips) == 30


def test_another_seed_gives_other_clips(tiny, tmp_path):
    other = write_demo_clips(
        tmp_path, DemoConfig(seed=1, num_recordings=1, clips_per_recording=1, duration_s=1.0)
    )
    for path in other.train_dir.rglob("*.wav"):
        assert (
            path.read_bytes() != (tiny.train_dir / path.relative_to(other.train_dir)).read_bytes()
        )


def test_fewer_recordings_and_clips_are_the_first_of_more(tiny, tmp_path):
    config = DemoConfig(
        num_recordings=1,
        clips_per_recording=1,
        num_test_recordings=1,
        clips_per_test_recording=2,
        duration_s=1.0,
    )
    fewer = read_files(write_demo_clips(tmp_path, config).train_dir)
    more = read_files(tiny.train_dir)
    assert fewer == {name: more[name] for name in fewer}
    assert read_files(tmp_path / "test") == read_files(tiny.test_dir)


def test_a_second_call_changes_nothing(tmp_path):
    write_demo_clips(tmp_path, TINY)
    marked = next(tmp_path.rglob("*.wav"))
    marked.write_bytes(b"as it was")
    write_demo_clips(tmp_path, TINY)
    assert marked.read_bytes() == b"as it was"


def test_the_next_call_completes_an_interrupted_one(tiny, tmp_path):
    write_demo_clips(tmp_path, TINY)
    (tmp_path / "demo.json").rename(tmp_path / "demo.json.partial")
    (tmp_path / "test" / "clip_003.wav").unlink()
    write_demo_clips(tmp_path, TINY)
    assert read_files(tmp_path) == read_files(tiny.train_dir.parent)


@pytest.mark.parametrize("name", ["demo.json", "demo.json.partial"])
def test_a_folder_of_another_configuration_is_refused_with_the_difference(tiny, tmp_path, name):
    saved = json.loads((tiny.train_dir.parent / "demo.json").read_text())
    (tmp_path / name).write_text(json.dumps(saved | {"seed": 7}))
    with pytest.raises(ValueError, match=r"seed is 7, not 0.*choose another folder"):
        write_demo_clips(tmp_path, TINY)


def test_a_folder_with_other_clips_is_refused(tmp_path):
    (tmp_path / "train").mkdir()
    with pytest.raises(ValueError, match=r"is not freqquest's demo: choose another folder"):
        write_demo_clips(tmp_path, TINY)
    assert list(tmp_path.iterdir()) == [tmp_path / "train"]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"num_recordings": 0}, "`num_recordings=0` must be between 1 and 5000"),
        ({"num_test_recordings": 5_001}, "`num_test_recordings=5001` must be between 1 and 5000"),
        ({"clips_per_recording": 0}, "`clips_per_recording=0` must be 1 or more"),
        ({"clips_per_test_recording": 0}, "`clips_per_test_recording=0` must be 1 or more"),
        ({"sample_rate_hz": 4_000}, "`sample_rate_hz=4000` must be between 8000 and 192000"),
        ({"duration_s": 0.1}, r"`duration_s=0\.1` must be between 0\.5 and 60"),
        ({"seed": -1}, "`seed=-1` must be 0 or more"),
    ],
)
def test_a_bad_configuration_is_refused_with_the_value_and_the_limit(setting, message):
    with pytest.raises(ValueError, match=message):
        DemoConfig(**setting)


def test_other_rates_and_lengths_work_too(tmp_path):
    config = DemoConfig(
        num_recordings=3,
        clips_per_recording=1,
        num_test_recordings=1,
        sample_rate_hz=8_000,
        duration_s=0.5,
    )
    for path in write_demo_clips(tmp_path, config).train_dir.rglob("*.wav"):
        clip, sample_rate_hz = soundfile.read(path)
        assert (len(clip), sample_rate_hz) == (4_000, 8_000)
        assert np.isfinite(clip).all()
        assert np.abs(clip).max() > 0.01
