from dataclasses import replace

import keras
import numpy as np
import pytest
import ray
import soundfile

from freqquest.audio.spectrogram import CNN_VIEW, log_mel
from freqquest.cnn.judge import Judge, start_judge
from freqquest.cnn.model_file import load_model, read_card
from freqquest.cnn.network import average, build_model, with_features
from freqquest.cnn.predict import predict_clips, probability_column
from freqquest.errors import UserError
from freqquest.storage import locate
from tests.cnn.conftest import CLIP_NORMALISATION, SMALLEST, write_classifier
from tests.conftest import RATE_HZ, tone

CLASSES = ["low", "middle", "high"]


@pytest.fixture(scope="module")
def model_file(tmp_path_factory):
    return write_classifier(locate(tmp_path_factory.mktemp("model") / "best_model.keras"), CLASSES)


@pytest.fixture(scope="module")
def judge(model_file):
    return make_judge(model_file, CLASSES)


def make_judge(model_file, classes) -> Judge:
    with (
        pytest.MonkeyPatch.context() as patch
    ):  # TensorFlow's threads cannot be set any more in the tests' own process
        patch.setattr(
            "freqquest.cnn.training.prepare_tensorflow", lambda num_threads, use_gpu: None
        )
        return Judge(model_file, classes)


def waveforms() -> np.ndarray:
    return np.stack([tone(pitch_hz, duration_s=5.0) for pitch_hz in (200.0, 800.0, 3000.0)])


def test_the_judge_and_its_actor_hear_what_prediction_hears(local_ray, model_file, judge, tmp_path):
    paths = [str(tmp_path / f"{number}.wav") for number in range(3)]
    for path, waveform in zip(paths, waveforms(), strict=True):
        soundfile.write(path, waveform, RATE_HZ, subtype="FLOAT")
    predicted = predict_clips(model_file, read_card(model_file), paths)
    expected = predicted[[probability_column(label) for label in CLASSES]].to_numpy()
    assert np.abs(np.diff(expected, axis=0)).max() > 1e-3
    probabilities, features = judge.classify_waveforms(waveforms(), RATE_HZ)
    np.testing.assert_allclose(probabilities, expected, atol=1e-5)
    actor = start_judge(model_file, CLASSES)
    np.testing.assert_allclose(
        ray.get(actor.classify_waveforms.remote(waveforms(), RATE_HZ))[1], features, atol=1e-4
    )
    ray.kill(actor)
    assert features.shape == (
        3,
        2 * 2 * 8,
    )  # two networks, two sides, eight channels in the last block
    assert features.dtype == probabilities.dtype == np.float32


def test_features_are_what_the_last_dense_layers_weigh(model_file):
    model = load_model(model_file)
    clips = np.random.default_rng(0).uniform(-60, 0, (4, 128, 173, 1)).astype(np.float32)
    probabilities, features = with_features(model, 0.7).predict_on_batch(clips)
    np.testing.assert_allclose(probabilities, model.predict_on_batch(clips), atol=1e-5)
    members = [layer for layer in model.layers if isinstance(layer, keras.Model)]
    scores, sides = [], np.split(features, 4, axis=1)
    for member in members:
        for head in (layer for layer in member.layers if isinstance(layer, keras.layers.Dense)):
            scores.append(sides[len(scores)] @ head.kernel.numpy() + head.bias.numpy())
    logs = [
        np.log(np.array(keras.ops.softmax((scores[i] + scores[i + 1]) / 2)) + 1e-7) for i in (0, 2)
    ]
    expected = np.array(keras.ops.softmax(np.mean(logs, axis=0) / 0.7))
    np.testing.assert_allclose(probabilities, expected, atol=1e-4)


def test_a_hidden_dense_layer_is_not_the_last(tmp_path):
    config = replace(SMALLEST, normalization="dataset", dense_units=5)
    model = average([build_model(config, 3, (128, 173), CLIP_NORMALISATION)], temperature=1.0)
    clips = np.zeros((2, 128, 173, 1), np.float32)
    probabilities, features = with_features(model, 1.0).predict_on_batch(clips)
    assert features.shape == (2, 5)
    np.testing.assert_allclose(probabilities, model.predict_on_batch(clips), atol=1e-5)


def test_probabilities_come_in_the_order_asked_for(model_file, judge):
    reordered = make_judge(model_file, ["high", "low", "middle"])
    mine, theirs = (
        judge.classify_waveforms(waveforms(), RATE_HZ),
        reordered.classify_waveforms(waveforms(), RATE_HZ),
    )
    np.testing.assert_array_equal(theirs[0], mine[0][:, [2, 0, 1]])
    np.testing.assert_array_equal(theirs[1], mine[1])


def test_a_datasets_spectrograms_are_heard_as_their_waveforms(judge):
    spectrograms = np.stack(
        [log_mel(clip[: 4 * RATE_HZ], CNN_VIEW, RATE_HZ) for clip in waveforms()]
    )
    stored = judge.classify_spectrograms(spectrograms.astype(np.float16))
    np.testing.assert_allclose(
        stored[0], judge.classify_waveforms(waveforms(), RATE_HZ)[0], atol=0.01
    )
    with pytest.raises(
        ValueError, match=r"shape \(3, 128, 172\); the classifier hears \[N, \*\(128, 173\)\]"
    ):
        judge.classify_spectrograms(spectrograms[:, :, :172])


def test_only_the_classifiers_length_is_heard_and_short_clips_are_padded(judge):
    clips = waveforms()
    changed = clips.copy()
    changed[:, 4 * RATE_HZ :] = 1.0
    np.testing.assert_array_equal(
        judge.classify_waveforms(clips, RATE_HZ)[1], judge.classify_waveforms(changed, RATE_HZ)[1]
    )
    padded = np.pad(clips[:, :RATE_HZ], ((0, 0), (0, RATE_HZ)))
    short = judge.classify_waveforms(clips[:, :RATE_HZ], RATE_HZ)
    np.testing.assert_array_equal(short[0], judge.classify_waveforms(padded, RATE_HZ)[0])


def test_another_rate_is_resampled(judge):
    time = np.arange(4 * 2 * RATE_HZ) / RATE_HZ / 2
    fast = np.sin(2 * np.pi * 440 * time).astype(np.float32)[None]
    at_double, at_own = (
        judge.classify_waveforms(fast, 2 * RATE_HZ),
        judge.classify_waveforms(fast[:, ::2], RATE_HZ),
    )
    np.testing.assert_allclose(at_double[0], at_own[0], atol=0.01)


def test_batches_are_joined_in_order(judge):
    many = np.random.default_rng(0).uniform(-60, 0, (70, 128, 173)).astype(np.float32)
    probabilities, features = judge.classify_spectrograms(many)
    assert (probabilities.shape, features.shape) == ((70, 3), (70, 32))
    np.testing.assert_allclose(judge.classify_spectrograms(many[64:])[1], features[64:], atol=1e-4)


def test_waveforms_without_a_sound_to_them_are_refused(judge):
    clips = waveforms()
    clips[1, 7] = np.nan
    with pytest.raises(ValueError, match="waveform 1 has NaN or infinite samples"):
        judge.classify_waveforms(clips, RATE_HZ)


def test_a_classifier_of_other_classes_is_refused_before_it_is_started(model_file):
    with pytest.raises(
        UserError, match="--judge .*best_model.keras does not know bark, siren and also knows high:"
    ):
        start_judge(model_file, ["low", "siren", "middle", "bark"])
    with pytest.raises(
        UserError, match="also knows high, middle: give a classifier that jobs/tune_cnn.py made"
    ):
        start_judge(model_file, ["low"])


def test_a_file_that_is_no_classifier_is_refused_before_it_is_started(tmp_path):
    with pytest.raises(
        UserError, match="--judge .*nowhere.keras does not exist: jobs/tune_cnn.py makes"
    ):
        start_judge(locate(tmp_path / "nowhere.keras"), CLASSES)
    (tmp_path / "junk.keras").write_bytes(b"junk")
    with pytest.raises(UserError, match="--judge .*junk.keras is not a model saved by"):
        start_judge(locate(tmp_path / "junk.keras"), CLASSES)
