import numpy as np
import pytest

from freqquest.dataset.manifest import load_manifest
from freqquest.dataset.read import read_rows
from freqquest.dataset.spectrogram_stream import load_spectrograms
from freqquest.errors import UserError
from freqquest.storage import locate
from tests.splits import read_split


def test_extra_clips_get_the_same_spectrograms_as_the_datasets_clips(dataset_dir):
    manifest = load_manifest(locate(dataset_dir))
    rows = read_rows(locate(dataset_dir), manifest, "validation")
    stored = read_split(locate(dataset_dir), manifest, "validation", "cnn").spectrograms
    paths = rows["path"].tolist()
    spectrograms = load_spectrograms(paths, manifest.clip, manifest.views["cnn"])
    assert spectrograms.dtype == stored.dtype
    np.testing.assert_array_equal(spectrograms, stored)


def test_an_unreadable_extra_clip_is_refused(dataset_dir, tmp_path):
    manifest = load_manifest(locate(dataset_dir))
    (tmp_path / "x.wav").write_bytes(b"no audio")
    with pytest.raises(
        UserError, match="`extra_clips`: .*x.wav cannot be read .*: fix or remove it"
    ):
        load_spectrograms([str(tmp_path / "x.wav")], manifest.clip, manifest.views["cnn"])


def test_a_storage_outage_reaches_the_driver_as_itself(dataset_dir, tmp_path):
    manifest = load_manifest(locate(dataset_dir))
    with pytest.raises(FileNotFoundError, match="gone/x.wav"):
        load_spectrograms([str(tmp_path / "gone" / "x.wav")], manifest.clip, manifest.views["cnn"])
