import numpy as np
import pytest

from freqquest.cnn.labeled_clips import load_labeled
from freqquest.dataset.manifest import load_manifest
from freqquest.dataset.spectrogram_stream import load_spectrograms
from freqquest.storage import locate


def test_extra_clips_are_analysed_as_the_datasets_own(dataset_dir):
    manifest = load_manifest(locate(dataset_dir))
    clips = load_labeled(locate(dataset_dir), manifest)
    rows = np.flatnonzero(~clips.only_trains)
    spectrograms = load_spectrograms(
        clips.paths[rows].tolist(), manifest.clip, manifest.views["cnn"]
    )
    assert spectrograms.dtype == clips.spectrograms.dtype
    np.testing.assert_array_equal(spectrograms, clips.spectrograms[rows])


def test_an_outage_of_the_storage_reaches_the_driver_as_what_it_is(dataset_dir, tmp_path):
    manifest = load_manifest(locate(dataset_dir))
    with pytest.raises(FileNotFoundError, match="gone/x.wav"):
        load_spectrograms([str(tmp_path / "gone" / "x.wav")], manifest.clip, manifest.views["cnn"])
