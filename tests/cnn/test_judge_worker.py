from dataclasses import replace

import numpy as np
import pytest

from freqquest.cnn import judge_worker
from freqquest.cnn.judge_worker import EmbeddingJudge, Judges
from freqquest.dataset.clip_inputs import Inputs
from freqquest.dataset.load_clip import open_clip
from freqquest.dataset.manifest import load_manifest
from freqquest.dataset.read import SplitReader, read_rows
from freqquest.storage import locate


@pytest.fixture(scope="module")
def embedded(embedded_dataset_dir):
    """A dataset with vectors, and its manifest."""
    dataset = locate(embedded_dataset_dir)
    return dataset, load_manifest(dataset)


@pytest.fixture(scope="module")
def judge(embedded):
    return EmbeddingJudge(*embedded)


def test_stored_vectors_are_the_features_of_clips_that_have_probabilities(embedded, judge):
    dataset, manifest = embedded
    shards = [*SplitReader(dataset, manifest, "validation", "cnn").shards()]
    vectors = np.concatenate([shard.vectors for shard in shards])
    class_indices = np.concatenate([shard.class_indices for shard in shards])
    assert {*class_indices} == {0, 1}
    probabilities, features = judge.classify_inputs(Inputs(np.zeros((len(vectors), 0)), vectors))
    np.testing.assert_array_equal(features, vectors)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)
    assert probabilities.shape == (len(vectors), 2)


def test_waveforms_have_the_vectors_that_the_dataset_stores(embedded, judge):
    dataset, manifest = embedded
    rows = read_rows(dataset, manifest, "validation")
    waveforms = np.stack([open_clip(path, manifest.clip).waveform for path in rows["path"]])
    stored = np.concatenate(
        [each.vectors for each in SplitReader(dataset, manifest, "validation", "cnn").shards()]
    )
    longer = np.pad(waveforms.astype(np.float64), ((0, 0), (0, 999)))
    probabilities, vectors = judge.classify_waveforms(longer, manifest.clip.sample_rate_hz)
    np.testing.assert_allclose(vectors, stored, rtol=1e-4, atol=1e-6)
    expected, _ = judge.classify_inputs(Inputs(np.zeros((len(stored), 0)), stored))
    np.testing.assert_allclose(probabilities, expected, atol=1e-3)


def test_clear_classes_are_told_apart(embedded, monkeypatch):
    class Reader(SplitReader):
        def shards(self):
            for shard in super().shards():
                first = (np.arange(3) == 0).astype(np.float32)
                yield replace(shard, vectors=shard.class_indices[:, None] * first)

    monkeypatch.setattr(judge_worker, "SplitReader", Reader)
    judge = EmbeddingJudge(*embedded)
    vectors = np.float32([[0, 0, 0], [1, 0, 0]])
    probabilities, _ = judge.classify_inputs(Inputs(np.zeros((2, 0)), vectors))
    assert probabilities.argmax(axis=1).tolist() == [0, 1]


def test_the_process_holds_a_second_judge_only_of_a_dataset_with_an_embedding(
    embedded, monkeypatch
):
    class First:
        def __init__(self, *arguments):
            self.arguments = arguments

        def classify_inputs(self, inputs):
            return self.arguments, inputs

    monkeypatch.setattr(judge_worker, "Judge", First)
    judges = Judges("model", ["high", "low"], embedded)
    inputs = Inputs(np.zeros((1, 0)), np.zeros((1, 3), np.float32))
    assert judges.classify_inputs(0, inputs) == (("model", ["high", "low"]), inputs)
    assert judges.classify_inputs(1, inputs)[0].shape == (1, 2)
    assert judges.classify_waveforms(1, np.zeros((2, 9)), 22_050)[1].shape == (2, 3)
    with pytest.raises(IndexError):
        Judges("model", ["high", "low"], None).classify_inputs(1, inputs)
