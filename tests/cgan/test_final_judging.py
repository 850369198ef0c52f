import io

import numpy as np
import pytest
import soundfile

from freqquest.audio.spectrogram import log_mel
from freqquest.cgan import final_judging
from freqquest.cgan.final_judging import judge_finally
from freqquest.cgan.judging import RealismEvaluator, read_real_clips
from freqquest.dataset.clip_inputs import Inputs
from freqquest.dataset.load_clip import open_clip
from freqquest.dataset.manifest import NOT_AUGMENTED, load_manifest
from freqquest.dataset.read import read_rows
from freqquest.runs import layout
from freqquest.runs.clip_files import read_clips
from freqquest.storage import locate
from tests.cgan.test_judging import FakeJudge


class HearingJudge(FakeJudge):
    """Judge whose features are the levels of the bands."""

    def __init__(self, view):
        super().__init__()
        self.view = view

    def classify_waveforms(self, waveforms, sample_rate_hz):
        spectrograms = [log_mel(waveform, self.view, sample_rate_hz) for waveform in waveforms]
        return self.classify_inputs(Inputs(np.stack(spectrograms)))

    def classify_inputs(self, inputs):
        features = inputs.spectrograms.mean(axis=2, dtype=np.float32)
        return super().classify_inputs(inputs)[0], features


@pytest.fixture
def judged(dataset_dir, tmp_path):
    """Run folder, metrics, and the training clips that were judged as if they were generated."""
    dataset = locate(dataset_dir)
    manifest = load_manifest(dataset)
    judge = HearingJudge(manifest.views["cnn"])
    evaluator = RealismEvaluator(judge, manifest, *read_real_clips(dataset, manifest))
    rows = read_rows(dataset, manifest, "train")
    rows = rows[rows["augmentation"] == NOT_AUGMENTED].sort_values("class_index")
    waveforms = np.stack([open_clip(path, manifest.clip).waveform for path in rows["path"]])
    clips = {"waveforms": waveforms, "class_indices": rows["class_index"].to_numpy()}
    metrics = judge_finally(evaluator, clips, manifest, locate(tmp_path))
    return tmp_path, metrics, rows


def test_the_metrics_of_the_kept_generator_are_beside_those_of_real_clips(judged):
    folder, (evaluation, baseline), _ = judged
    assert evaluation.spaces[0].overall["memorized"] == 1.0
    assert evaluation.spaces[0].overall["copying"] > 0.9
    assert (evaluation.spaces[0].num_clips, baseline.spaces[0].num_clips) == (16, 4)
    assert "memorized" in (folder / layout.JUDGE_TABLE_NAME).read_text()


def test_the_first_clips_of_each_class_are_stored_with_the_nearest_training_clip(judged):
    folder, _, rows = judged
    pairs = read_clips(locate(folder) / layout.NEAREST_CLIPS_NAME)
    first = rows.groupby("class_index").head(3)
    assert [pair["nearest"]["path"] for pair in pairs] == first["path"].tolist()
    assert [pair["label"] for pair in pairs] == first["label"].tolist()
    for pair in pairs:
        assert pair["distance"] == pytest.approx(0, abs=0.05)  # each is a copy
        assert pair["nearest"]["label"] == pair["label"]
        sounds = [soundfile.read(io.BytesIO(clip["sound"]))[0] for clip in (pair, pair["nearest"])]
        np.testing.assert_allclose(*sounds, atol=1e-6)
        assert pair["picture"] == pair["nearest"]["picture"]


def test_few_clips_are_stored_of_many_classes(dataset_dir, tmp_path, monkeypatch):
    monkeypatch.setattr(final_judging, "_MAX_PAIRS", 3)
    dataset = locate(dataset_dir)
    manifest = load_manifest(dataset)
    judge = HearingJudge(manifest.views["cnn"])
    evaluator = RealismEvaluator(judge, manifest, *read_real_clips(dataset, manifest))
    clips = {
        "waveforms": np.random.default_rng(0).normal(size=(8, 22_050)).astype(np.float32),
        "class_indices": np.repeat([0, 1], 4),
    }
    judge_finally(evaluator, clips, manifest, locate(tmp_path))
    pairs = read_clips(locate(tmp_path) / layout.NEAREST_CLIPS_NAME)
    assert [pair["label"] for pair in pairs] == [*manifest.classes[:1] * 2, manifest.classes[1]]
