from types import SimpleNamespace

import numpy as np
import pytest

from freqquest.cgan import judging as hearing
from freqquest.cgan.judging import RealismEvaluator
from freqquest.dataset.manifest import load_manifest
from freqquest.storage import locate


class FakeJudge:
    """Hears a clip's mean and extremes, and two classes in it; refuses what the real one cannot hear."""

    def __init__(self):
        self.num_heard = 0
        self.classify_spectrograms = self.classify_waveforms = SimpleNamespace(remote=self.hear)

    def hear(self, clips, *_):
        assert len(clips), "the classifier cannot hear nothing"
        self.num_heard += len(clips)
        values = clips.reshape(len(clips), -1).astype(np.float32)
        features = np.stack([values.mean(axis=1), values.max(axis=1), values.min(axis=1)], axis=1)
        return np.tile(np.float32([0.9, 0.1]), (len(clips), 1)), features


@pytest.fixture
def fake(monkeypatch):
    monkeypatch.setattr(hearing.ray, "get", lambda value: value)
    return FakeJudge()


def test_originals_of_both_splits_are_heard_and_varied_copies_are_not(dataset_dir, fake):
    manifest = load_manifest(locate(dataset_dir))
    assert manifest.num_rows["train"] == 32  # of which half are copies, in shards of seven
    judged = RealismEvaluator(fake, locate(dataset_dir), manifest)
    assert fake.num_heard == 16 + 4
    judgment = judged.judge(
        np.random.default_rng(0).standard_normal((6, 100)), np.array([0, 0, 0, 1, 1, 1])
    )
    assert judgment.overall["accuracy"] == 0.5
    assert judgment.num_clips == 6
    assert judged.floor(2).num_clips == 4


def test_a_shard_of_copies_alone_is_passed_over(dataset_dir, fake, monkeypatch):
    manifest = load_manifest(locate(dataset_dir))
    read_rows = hearing.read_rows

    def copies_first(dataset, manifest, split):
        rows = read_rows(dataset, manifest, split)
        if split == "train":
            rows.loc[rows.index[:7], "augmentation"] = "pitch"
            rows.loc[rows.index[7:], "augmentation"] = hearing.NOT_AUGMENTED
        return rows

    monkeypatch.setattr(hearing, "read_rows", copies_first)
    RealismEvaluator(fake, locate(dataset_dir), manifest)
    assert fake.num_heard == 25 + 4
