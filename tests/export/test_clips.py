"""Clips to compare on: a dataset's validation clips where their audio is, else demo clips."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from freqquest.audio.decode import load_clip
from freqquest.cnn.model_file import read_card
from freqquest.dataset.read import SplitReader, read_rows
from freqquest.errors import UserError
from freqquest.export import clips
from freqquest.storage import locate
from tests.export.conftest import SHORT


@pytest.fixture
def dataset(dataset_dir, tone_model):
    card = read_card(tone_model)
    return locate(dataset_dir), clips.open_dataset(locate(dataset_dir), card, "`model=m`"), card


def test_validation_clips_are_decoded_with_labels_in_the_order_of_the_model(dataset):
    location, manifest, card = dataset
    found = clips.validation_clips(location, manifest, card)
    rows = read_rows(location, manifest, "validation")
    assert len(found.waveforms) == len(rows) == 4
    for waveform, labels, path in zip(found.waveforms, found.labels, rows["path"], strict=True):
        with Path(path).open("rb") as stream:
            np.testing.assert_array_equal(waveform, load_clip(stream, card.clip).waveform)
        (index,) = np.flatnonzero(labels)
        assert f"/{card.classes[index]}/" in path
    assert found.source == "4 validation clips"


@pytest.mark.parametrize(
    ("trained_on", "is_told"),
    [
        ("all labeled clips", True),
        ("all labeled clips but its own part and 3 extra clips", True),
        ("the training clips, not the validation clips", False),
    ],
)
def test_clips_that_the_classifier_was_trained_on_are_called_so(dataset, trained_on, is_told):
    location, manifest, card = dataset
    card = dataclasses.replace(card, trained_on=trained_on)
    source = clips.validation_clips(location, manifest, card).source
    assert source.endswith(", which the classifier was trained on too") == is_told


def test_clips_whose_files_cannot_be_read_are_left_out(dataset, monkeypatch, tmp_path):
    location, manifest, card = dataset
    rows = read_rows(location, manifest, "validation")
    rows.loc[rows.index[1], "path"] = str(tmp_path / "gone" / "a.wav")  # with its folder
    (tmp_path / "broken.wav").write_bytes(b"no audio")
    rows.loc[rows.index[2], "path"] = str(tmp_path / "broken.wav")
    monkeypatch.setattr(clips, "read_rows", lambda *_: rows)
    found = clips.validation_clips(location, manifest, card)
    assert (len(found.waveforms), len(found.labels)) == (2, 2)
    rows["path"] = str(tmp_path / "broken.wav")
    assert not clips.validation_clips(location, manifest, card).waveforms


def test_as_many_clips_are_compared_as_memory_has_room_for(dataset, monkeypatch):
    location, manifest, card = dataset
    monkeypatch.setattr(clips, "_MAX_VALUES", 2 * card.clip.num_samples)
    found = clips.validation_clips(location, manifest, card)
    rows = read_rows(location, manifest, "validation")
    assert len(found.waveforms) == 2
    first_and_last = [f"/{card.classes[each.argmax()]}/" for each in found.labels]
    assert first_and_last[0] in rows["path"].iloc[0]
    assert first_and_last[1] in rows["path"].iloc[-1]


def test_a_dataset_of_other_classes_or_clips_is_refused(dataset_dir, tone_model):
    card = read_card(tone_model)
    for changes, message in (
        ({"classes": ["low", "other"]}, "`model=m` does not know high and also knows other"),
        ({"clip": SHORT}, "`model=m` is made for other clips than the dataset's, with sample_rate"),
    ):
        other = dataclasses.replace(card, **changes)
        with pytest.raises(UserError, match=message):
            clips.open_dataset(locate(dataset_dir), other, "`model=m`")


def test_calibration_draws_training_clips(dataset, monkeypatch):
    location, manifest, _ = dataset
    training = np.concatenate(
        [shard.spectrograms for shard in SplitReader(location, manifest, "train", "cnn").shards()]
    )
    assert len(clips.calibration_spectrograms(location, manifest)) == len(training) == 32
    monkeypatch.setattr(clips, "_NUM_CALIBRATION_CLIPS", 5)
    drawn = clips.calibration_spectrograms(location, manifest)
    assert drawn.shape == (5, 128, 173)
    found = (drawn[:, None] == training[None]).all(axis=(2, 3))
    assert (found.sum(axis=1) == 1).all()
    assert len(set(found.argmax(axis=1))) == 5


@pytest.mark.parametrize("config", [SHORT, dataclasses.replace(SHORT, sample_rate_hz=4_000)])
def test_demo_clips_have_the_form_of_the_models(config):
    found = clips.demo_clips(config)
    assert len(found.waveforms) == 20
    assert {(clip.dtype.name, clip.shape) for clip in found.waveforms} == {
        ("float32", (config.num_samples,))
    }
    assert all(np.ptp(clip) > 0 for clip in found.waveforms)
    assert found.labels is None
