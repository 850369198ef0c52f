import pickle
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import ray
import soundfile

from freqquest.audio.spectrogram import CNN_VIEW, log_mel
from freqquest.cnn.average import average
from freqquest.cnn.classifier import Classifier
from freqquest.cnn.heads import Head, build_head
from freqquest.cnn.judge import (
    Judge,
    RemoteJudge,
    start_judge,
    start_judge_of_sounds,
    thresholds_of,
)
from freqquest.cnn.model_file import add_card, load_model, read_card, to_bytes
from freqquest.dataset.clip_inputs import Inputs, join
from freqquest.dataset.config import DatasetSettings
from freqquest.dataset.manifest import load_manifest
from freqquest.embedding.network import read_network
from freqquest.errors import UserError
from freqquest.storage import locate
from tests.cnn.conftest import CLASSES, write_classifier
from tests.conftest import RATE_HZ, tone
from tests.embedding.tiny_networks import write_onnx
from tests.sizes import SIZES


@pytest.fixture(scope="module")
def judge(model_file):
    return make_judge(model_file, CLASSES)


def make_judge(model_file, classes) -> Judge:
    with pytest.MonkeyPatch.context() as patch:
        # In the tests' own process, it is too late to set TensorFlow's threads.
        patch.setattr("freqquest.cnn.devices.prepare", lambda device: None)
        return Judge(model_file, classes)


DATASET = locate("nowhere")
"""Folder of a dataset without an embedding, which is not read."""


def a_dataset(classes, settings=None):
    """What the judge reads of a manifest."""
    settings = settings or DatasetSettings()
    return SimpleNamespace(
        classes=classes, clip=settings.clip, views=settings.views, embedding=None
    )


def waveforms() -> np.ndarray:
    return np.stack([tone(pitch_hz, duration_s=5.0) for pitch_hz in (200.0, 800.0, 3000.0)])


def test_the_judge_and_its_actor_agree_with_the_classifier(local_ray, model_file, judge, tmp_path):
    paths = [str(tmp_path / f"{number}.wav") for number in range(3)]
    for path, waveform in zip(paths, waveforms(), strict=True):
        soundfile.write(path, waveform, RATE_HZ, subtype="FLOAT")
    columns = read_card(model_file).probability_columns
    expected = Classifier.load(model_file.path).predict(paths)[columns].to_numpy()
    assert np.abs(np.diff(expected, axis=0)).max() > 1e-3
    probabilities, features = judge.classify_waveforms(waveforms(), RATE_HZ)
    np.testing.assert_allclose(probabilities, expected, atol=1e-5)
    # Two networks of two normalizations, with eight channels in the last block.
    assert features.shape == (3, 2 * 2 * 8)
    assert features.dtype == probabilities.dtype == np.float32
    remote = start_judge(model_file, DATASET, a_dataset(CLASSES))
    outputs = remote.classify_waveforms(waveforms(), RATE_HZ)
    np.testing.assert_allclose(outputs[0], probabilities, atol=1e-5)
    np.testing.assert_allclose(outputs[1], features, atol=1e-4)
    spectrograms = np.zeros((1, 128, 173), np.float16)
    assert remote.classify_inputs(Inputs(spectrograms))[0].shape == (1, 3)
    with pytest.raises(ValueError, match="the classifier needs"):
        remote.classify_inputs(Inputs(spectrograms[:, :5]))
    ray.kill(remote._actor)


def test_a_judge_of_sounds_needs_the_classes_and_clips_of_its_length(model_file, monkeypatch):
    monkeypatch.setattr("freqquest.cnn.judge._start", lambda *_: "started")
    assert start_judge_of_sounds(model_file, CLASSES, 3.994) == "started"
    with pytest.raises(UserError, match="`judge=.* of 4 s, but those of the generator last 2 s: g"):
        start_judge_of_sounds(model_file, CLASSES, 2.0)
    with pytest.raises(UserError, match="`judge=.*does not know cat: give a classifier"):
        start_judge_of_sounds(model_file, [*CLASSES, "cat"], 4.0)


def test_a_dataset_with_an_embedding_has_a_second_judge_in_the_same_process(
    embedded_dataset_dir, tmp_path
):
    dataset = locate(embedded_dataset_dir)
    manifest = load_manifest(dataset)
    file = write_classifier(locate(tmp_path / "best_model.keras"), manifest.classes)
    judge = start_judge(file, dataset, manifest)
    second = judge.by_embedding
    assert judge._actor == second._actor
    assert second.thresholds is None
    vectors = np.zeros((2, manifest.embedding.num_values), np.float32)
    inputs = Inputs(np.zeros((2, 128, 173), np.float16), vectors)
    assert judge.classify_inputs(inputs)[1].shape == (2, 32)
    np.testing.assert_array_equal(second.classify_inputs(inputs)[1], vectors)
    assert second.classify_waveforms(waveforms(), RATE_HZ)[1].shape == (3, 3)
    ray.kill(judge._actor)
    with pytest.raises(
        UserError, match=r"nowhere/embedding.onnx, the network network.onnx, is mis"
    ):
        start_judge(file, DATASET, manifest)


def test_of_several_labels_the_second_judge_hears_those_that_are_more_likely_than_not(
    labels_file, embedded_dataset_dir, monkeypatch
):
    dataset = locate(embedded_dataset_dir)
    manifest = replace(load_manifest(dataset), classes=CLASSES, has_several_labels=True)
    monkeypatch.setattr("freqquest.cnn.judge_worker.Judges", IdleJudges)
    second = start_judge(labels_file, dataset, manifest).by_embedding
    assert second.thresholds.tolist() == [0.5, 0.5, 0.5]


class IdleJudges:
    """Actor that loads nothing."""

    def __init__(self, *arguments):
        pass


def test_a_remote_judge_can_be_pickled():
    judge = RemoteJudge("handle")
    judge.by_embedding = RemoteJudge("handle", number=1)
    copied = pickle.loads(pickle.dumps(judge))
    assert copied._actor == copied.by_embedding._actor == "handle"
    assert (copied._number, copied.by_embedding._number) == (0, 1)


def test_probabilities_come_in_the_order_of_the_given_classes(model_file, judge):
    reordered = make_judge(model_file, ["high", "low", "middle"])
    expected = judge.classify_waveforms(waveforms(), RATE_HZ)
    outputs = reordered.classify_waveforms(waveforms(), RATE_HZ)
    np.testing.assert_array_equal(outputs[0], expected[0][:, [2, 0, 1]])
    np.testing.assert_array_equal(outputs[1], expected[1])


def test_thresholds_come_in_the_order_of_the_given_classes(labels_file, model_file):
    classes = ["high", "low", "middle"]
    assert thresholds_of(read_card(labels_file), classes).tolist() == [0.0, 1.1, 0.0]
    assert thresholds_of(read_card(model_file), CLASSES) is None
    judge = make_judge(labels_file, classes)
    probabilities, _ = judge.classify_waveforms(waveforms(), RATE_HZ)
    assert not np.allclose(probabilities.sum(axis=1), 1)


def test_a_datasets_spectrograms_are_classified_like_their_waveforms(judge):
    spectrograms = np.stack(
        [log_mel(clip[: 4 * RATE_HZ], CNN_VIEW, RATE_HZ) for clip in waveforms()]
    )
    stored = judge.classify_inputs(Inputs(spectrograms.astype(np.float16)))
    np.testing.assert_allclose(
        stored[0], judge.classify_waveforms(waveforms(), RATE_HZ)[0], atol=0.01
    )


def test_spectrograms_of_another_shape_are_refused(judge):
    with pytest.raises(
        ValueError, match=r"shape \(3, 128, 172\), but the classifier needs \[N, \*\(128, 173\)\]"
    ):
        judge.classify_inputs(Inputs(np.zeros((3, 128, 172))))


def test_long_waveforms_are_cut_and_short_ones_padded(judge):
    clips = waveforms()
    changed = clips.copy()
    changed[:, 4 * RATE_HZ :] = 1.0
    np.testing.assert_array_equal(
        judge.classify_waveforms(clips, RATE_HZ)[1], judge.classify_waveforms(changed, RATE_HZ)[1]
    )
    padded = np.pad(clips[:, :RATE_HZ], ((0, 0), (0, RATE_HZ)))
    short = judge.classify_waveforms(clips[:, :RATE_HZ], RATE_HZ)
    np.testing.assert_array_equal(short[0], judge.classify_waveforms(padded, RATE_HZ)[0])


def test_waveforms_of_another_rate_are_resampled(judge):
    time = np.arange(4 * 2 * RATE_HZ) / RATE_HZ / 2
    fast = np.sin(2 * np.pi * 440 * time).astype(np.float32)[None]
    resampled = judge.classify_waveforms(fast, 2 * RATE_HZ)
    expected = judge.classify_waveforms(fast[:, ::2], RATE_HZ)
    np.testing.assert_allclose(resampled[0], expected[0], atol=0.01)


def test_batches_are_joined_in_order(judge):
    many = np.random.default_rng(0).uniform(-60, 0, (70, 128, 173)).astype(np.float32)
    probabilities, features = judge.classify_inputs(Inputs(many))
    assert (probabilities.shape, features.shape) == ((70, 3), (70, 32))
    np.testing.assert_allclose(
        judge.classify_inputs(Inputs(many[64:]))[1], features[64:], atol=1e-4
    )


def test_waveforms_with_nan_are_refused(judge):
    clips = waveforms()
    clips[1, 7] = np.nan
    with pytest.raises(ValueError, match="waveform 1 has NaN or infinite samples"):
        judge.classify_waveforms(clips, RATE_HZ)


def test_a_classifier_of_other_classes_is_refused_before_it_starts(model_file):
    with pytest.raises(
        UserError,
        match="`judge=.*best_model.keras` does not know bark, siren and also knows high: give",
    ):
        start_judge(model_file, DATASET, a_dataset(["low", "siren", "middle", "bark"]))
    with pytest.raises(
        UserError, match="also knows high, middle: give a classifier that tune_cnn made"
    ):
        start_judge(model_file, DATASET, a_dataset(["low"]))


def test_a_classifier_of_other_clips_is_refused_before_it_starts(model_file):
    with pytest.raises(
        UserError,
        match=r"`judge=.*` is made for other clips than the dataset's, with sample_rate_hz 22050 "
        r"instead of 16000, duration_s 4.0 instead of 1.0, n_fft 2048 instead of 1500, .*: give",
    ):
        start_judge(model_file, DATASET, a_dataset(CLASSES, SIZES["16 kHz, 1 s"]))


def test_a_missing_file_is_refused_before_it_starts(tmp_path):
    with pytest.raises(UserError, match="`judge=.*nowhere.keras` does not exist: give the best"):
        start_judge(locate(tmp_path / "nowhere.keras"), DATASET, a_dataset(CLASSES))


def test_a_background_of_the_judge_is_ignored(tmp_path, model_file, judge):
    heard = replace(read_card(model_file), background_label="middle")
    file = locate(tmp_path / "heard.keras")
    file.write_bytes(add_card(to_bytes(load_model(model_file)), heard))
    outputs = make_judge(file, ["high", "low"]).classify_waveforms(waveforms(), RATE_HZ)
    expected = judge.classify_waveforms(waveforms(), RATE_HZ)
    np.testing.assert_allclose(outputs[0], expected[0][:, [2, 0]], atol=1e-5)
    with pytest.raises(UserError, match="also knows high"):
        make_judge(file, ["low"])


def test_a_judge_with_a_pretrained_network_hears_waveforms_as_it_does_the_datasets_vectors(
    tmp_path,
):
    network_file = locate(write_onnx(tmp_path / "tiny.onnx"))
    embedding, _ = read_network(network_file, 16_000, "vector")
    card = read_card(write_classifier(locate(tmp_path / "plain.keras"), CLASSES))
    kernel = np.random.default_rng(0).normal(size=(3, 3))
    model = average([build_head(Head(kernel, np.zeros(3), False))], 1.0)
    file = locate(tmp_path / "best_model.keras")
    card = replace(card, embedding=embedding, temperature=1.0)
    file.write_bytes(add_card(to_bytes(model), card, network_file))

    judge = make_judge(file, CLASSES)
    inputs = [card.analysis(file).analyze(clip[:88_200]) for clip in waveforms()]
    heard, of_dataset = (
        judge.classify_waveforms(waveforms(), RATE_HZ),
        judge.classify_inputs(join(inputs)),
    )
    np.testing.assert_array_equal(heard[0], of_dataset[0])
    np.testing.assert_array_equal(heard[1], join(inputs).vectors)

    with pytest.raises(UserError, match="needs vectors by tiny.onnx, which the dataset does not"):
        start_judge(file, DATASET, a_dataset(CLASSES))
