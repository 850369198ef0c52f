import numpy as np
import pytest
from scipy.spatial.distance import pdist

from freqquest.cgan import judging
from freqquest.cgan.distances import kernel_distance
from freqquest.cgan.judging import RealismEvaluator, read_real_clips
from freqquest.dataset.clip_inputs import Inputs
from freqquest.dataset.manifest import load_manifest
from freqquest.storage import locate
from tests.embedding.tiny_networks import vector_of


class FakeJudge:
    """Judge whose features are a clip's mean and extremes; it refuses an empty batch."""

    by_embedding = None

    def __init__(self, thresholds=None):
        self.num_clips, self.thresholds = 0, thresholds

    def classify_waveforms(self, waveforms, sample_rate_hz):
        assert sample_rate_hz == 22_050
        return self.classify_inputs(Inputs(waveforms))

    def classify_inputs(self, inputs):
        spectrograms = inputs.spectrograms
        assert len(spectrograms), "the classifier cannot predict an empty batch"
        self.num_clips += len(spectrograms)
        values = spectrograms.reshape(len(spectrograms), -1).astype(np.float32)
        features = np.stack([values.mean(axis=1), values.max(axis=1), values.min(axis=1)], axis=1)
        return np.tile(np.float32([0.9, 0.1]), (len(spectrograms), 1)), features


@pytest.fixture
def manifest(dataset_dir):
    return load_manifest(locate(dataset_dir))


def test_the_judge_classifies_originals_of_both_splits_but_no_augmented_copies(
    dataset_dir, manifest
):
    assert manifest.num_rows["train"] == 32  # of which half are copies, in shards of seven
    judge = FakeJudge()
    real_clips = read_real_clips(locate(dataset_dir), manifest)
    evaluator = RealismEvaluator(judge, manifest, *real_clips)
    assert judge.num_clips == 16 + 4
    metrics = evaluator.evaluate(
        np.random.default_rng(0).standard_normal((6, 100)), np.array([0, 0, 0, 1, 1, 1])
    )
    (in_its_features,) = metrics.spaces
    assert in_its_features.overall["accuracy"] == 0.5
    assert in_its_features.num_clips == 6
    assert evaluator.real_baseline(2).spaces[0].num_clips == 4


def test_a_shard_may_hold_only_augmented_copies(dataset_dir, manifest, monkeypatch):
    read_rows = judging.read_rows

    def copies_first(dataset, manifest, split):
        rows = read_rows(dataset, manifest, split)
        if split == "train":
            rows.loc[rows.index[:7], "augmentation"] = "pitch"
            rows.loc[rows.index[7:], "augmentation"] = judging.NOT_AUGMENTED
        return rows

    monkeypatch.setattr(judging, "read_rows", copies_first)
    held_out, training = read_real_clips(locate(dataset_dir), manifest)
    assert (len(held_out.class_indices), len(training.inputs.spectrograms)) == (4, 25)


def test_a_clip_with_several_labels_is_a_real_clip_of_each(dataset_dir, manifest, monkeypatch):
    class Reader(judging.SplitReader):
        def shards(self):
            for shard in super().shards():
                shard.labels[:] = True
                yield shard

    monkeypatch.setattr(judging, "SplitReader", Reader)
    held_out, training = read_real_clips(locate(dataset_dir), manifest)
    assert len(held_out.inputs.spectrograms) == 4
    assert held_out.clip_numbers.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert held_out.class_indices.tolist() == [0, 1] * 4
    judge = FakeJudge(thresholds=np.array([0.95, 0.05]))
    evaluator = RealismEvaluator(judge, manifest, held_out, training)
    assert judge.num_clips == 16 + 4  # each was classified once
    waveforms = np.random.default_rng(0).standard_normal((4, 100))
    (metrics,) = evaluator.evaluate(waveforms, np.array([0, 0, 0, 1])).spaces
    # It is of the second class, which is not the most probable.
    assert metrics.overall["accuracy"] == 0.25


class VectorJudge(FakeJudge):
    """Judge whose features are the vectors of the tiny network."""

    def classify_waveforms(self, waveforms, sample_rate_hz):
        return self.classify_inputs(Inputs(waveforms, np.stack([*map(vector_of, waveforms)])))

    def classify_inputs(self, inputs):
        return super().classify_inputs(inputs)[0], inputs.vectors


def test_a_dataset_with_an_embedding_is_a_second_space_whose_values_are_all_compared(
    embedded_dataset_dir,
):
    dataset = locate(embedded_dataset_dir)
    manifest = load_manifest(dataset)
    judge = FakeJudge()
    judge.by_embedding = VectorJudge()
    held_out, training = read_real_clips(dataset, manifest)
    evaluator = RealismEvaluator(judge, manifest, held_out, training)
    assert judge.num_clips == judge.by_embedding.num_clips == 16 + 4
    waveforms = 0.1 * np.random.default_rng(0).standard_normal((8, 44_100))
    evaluation = evaluator.evaluate(waveforms, np.repeat([0, 1], 4))
    own, by_network = evaluation.spaces
    assert (own.space.name, by_network.space.name) == ("judge", "embedding")
    assert by_network.space.note.startswith("by network.onnx: 100 x kernel compares with published")
    assert "frechet" in own.overall
    assert "frechet" not in by_network.overall
    width = np.median(pdist(held_out.inputs.vectors))
    vectors = np.stack([*map(vector_of, waveforms)])
    expected = kernel_distance(vectors, held_out.inputs.vectors, width)
    assert by_network.overall["kernel"] == pytest.approx(expected)
    assert len(evaluator.real_baseline(2).spaces) == 2
