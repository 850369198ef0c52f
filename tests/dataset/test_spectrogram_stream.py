import numpy as np
import pytest

from freqquest.dataset.clip_inputs import dataset_analysis
from freqquest.dataset.manifest import load_manifest
from freqquest.dataset.read import read_rows
from freqquest.dataset.spectrogram_stream import load_inputs
from freqquest.errors import UserError
from freqquest.storage import locate
from tests.splits import read_split


def test_extra_clips_get_the_same_spectrograms_as_the_datasets_clips(dataset_dir):
    manifest = load_manifest(locate(dataset_dir))
    rows = read_rows(locate(dataset_dir), manifest, "validation")
    stored = read_split(locate(dataset_dir), manifest, "validation", "cnn").spectrograms
    paths = rows["path"].tolist()
    inputs = load_inputs(paths, dataset_analysis(locate(dataset_dir), manifest))
    assert inputs.spectrograms.dtype == stored.dtype
    np.testing.assert_array_equal(inputs.spectrograms, stored)
    assert inputs.vectors is None


def test_an_unreadable_extra_clip_is_refused(dataset_dir, tmp_path):
    analysis = dataset_analysis(locate(dataset_dir), load_manifest(locate(dataset_dir)))
    (tmp_path / "x.wav").write_bytes(b"no audio")
    with pytest.raises(
        UserError, match="`extra_clips`: .*x.wav cannot be read .*: fix or remove it"
    ):
        load_inputs([str(tmp_path / "x.wav")], analysis)


def test_a_storage_outage_reaches_the_driver_as_itself(dataset_dir, tmp_path):
    analysis = dataset_analysis(locate(dataset_dir), load_manifest(locate(dataset_dir)))
    with pytest.raises(FileNotFoundError, match="gone/x.wav"):
        load_inputs([str(tmp_path / "gone" / "x.wav")], analysis)


def test_extra_clips_get_the_same_vectors_as_the_datasets_clips(embedded_dataset_dir):
    dataset = locate(embedded_dataset_dir)
    manifest = load_manifest(dataset)
    paths = read_rows(dataset, manifest, "validation")["path"].tolist()
    vectors = load_inputs(paths, dataset_analysis(dataset, manifest)).vectors
    stored = read_split(dataset, manifest, "validation", "cnn").vectors
    assert (vectors.dtype, vectors.shape) == (np.float32, (4, 3))
    np.testing.assert_array_equal(vectors, stored)
