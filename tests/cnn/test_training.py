from dataclasses import replace

import keras
import numpy as np
import pytest

from freqquest.cnn.config import PRESETS, CnnConfig
from freqquest.cnn.devices import Device
from freqquest.cnn.labeled_clips import SplitRows, all_clips, dataset_split
from freqquest.cnn.network import predict_probabilities
from freqquest.cnn.training import DivergedError, compile_model, fit, recipe_callbacks
from freqquest.cnn.tune_config import MAX_EPOCHS
from freqquest.dataset.clip_inputs import Inputs
from tests.cnn.conftest import EASY, make_clips, make_clips_of_several_labels
from tests.sizes import SIZES

PLAIN = replace(
    PRESETS["reference"],
    num_blocks=2,
    num_filters=4,
    dense_units=8,
    dropout=0.0,
    learning_rate=0.01,
)
PLAIN = replace(PLAIN, batch_norm_momentum=0.9, batch_size=8)
TWO_NETWORKS = replace(EASY, normalization=CnnConfig().normalization)


def test_the_recipes_callbacks_have_its_values():
    reduce, stop = recipe_callbacks()
    assert isinstance(reduce, keras.callbacks.ReduceLROnPlateau)
    assert (reduce.monitor, reduce.factor, reduce.patience, reduce.min_lr) == (
        "val_loss",
        0.5,
        4,
        1e-6,
    )
    assert isinstance(stop, keras.callbacks.EarlyStopping)
    assert (stop.monitor, stop.patience, stop.restore_best_weights) == ("val_loss", 10, True)


def test_the_reference_has_the_settings_of_the_recipe():
    reference = PRESETS["reference"]
    assert (reference.optimizer, reference.learning_rate, reference.batch_size) == (
        "adam",
        1e-3,
        32,
    )
    assert (reference.dropout, reference.label_smoothing, reference.mixup) == (0.3, 0, 0)
    assert (reference.normalization, reference.floor_db, reference.copies) == ("none", -80, "all")
    assert (reference.schedule, reference.weight_average) == ("plateau", 0)
    assert (reference.recording_balance, reference.class_balance) == (0, False)
    assert (reference.time_shift, reference.band_shift, reference.equalizer_db) == (False, 0, 0)
    assert (reference.noise_db, reference.num_masks, reference.min_steps) == (0, 0, 0)
    assert MAX_EPOCHS["reference"] == 40


@pytest.mark.parametrize(
    "config", [PLAIN, EASY, TWO_NETWORKS], ids=["plain", "residual", "two networks"]
)
def test_a_fit_learns_and_reports_every_epoch(clips, config):
    epochs = []
    model = fit(
        config,
        clips,
        dataset_split(clips),
        max_epochs=6,
        seed=0,
        on_epoch=lambda epoch: epochs.append(epoch.metrics),
    )
    assert len(epochs) == 6
    assert epochs[0].keys() == {
        *("train/loss", "train/accuracy", "train/learning_rate", "train/seconds"),
        *("validation/loss", "validation/accuracy"),
    }
    assert epochs[-1]["train/loss"] < epochs[0]["train/loss"]
    assert [epoch["train/seconds"] for epoch in epochs] == sorted(
        epoch["train/seconds"] for epoch in epochs
    )
    validation = dataset_split(clips).validation
    predicted = np.array(
        model(clips.spectrograms[validation].astype(np.float32)[..., None])
    ).argmax(axis=1)
    accuracy = (predicted == clips.class_indices[validation]).mean()
    assert accuracy > 0.8
    kept = max if config.schedule == "plateau" else lambda accuracies: accuracies[-1]
    assert accuracy == pytest.approx(kept([epoch["validation/accuracy"] for epoch in epochs]))


def test_mixed_precision_trains_a_model_that_computes_in_float32(clips):
    precisions = []
    model = fit(
        PLAIN,
        clips,
        dataset_split(clips),
        max_epochs=4,
        seed=0,
        on_epoch=lambda *_: precisions.append(keras.config.dtype_policy().name),
        device=Device(mixed_precision=True),
    )
    assert set(precisions) == {"float32"}  # the process's own is left alone
    assert {layer.dtype_policy.name for layer in model.layers} == {"float32"}
    validation = dataset_split(clips).validation
    predicted = predict_probabilities(model, Inputs(clips.spectrograms[validation])).argmax(axis=1)
    assert (predicted == clips.class_indices[validation]).mean() > 0.8


def test_without_validation_clips_the_last_epoch_is_kept(clips):
    model = fit(EASY, clips, all_clips(clips), max_epochs=1, seed=0)
    assert model.output_shape == (None, 2)


def test_the_same_seed_trains_the_same_model(clips):
    runs = [
        fit(EASY, clips, dataset_split(clips), max_epochs=2, seed=7).get_weights() for _ in range(2)
    ]
    for first, second in zip(*runs, strict=True):
        np.testing.assert_allclose(first, second, rtol=1e-3, atol=1e-4)


def test_a_loss_that_becomes_nan_ends_the_fit(clips):
    reported = []
    with pytest.raises(DivergedError, match="epoch 1: the loss is nan"):
        fit(
            replace(PLAIN, learning_rate=1e30),
            clips,
            dataset_split(clips),
            max_epochs=5,
            seed=0,
            on_epoch=reported.append,
        )
    assert not reported


def test_any_rows_can_be_trained_and_evaluated_on(clips):
    split = SplitRows(train=np.arange(0, 32, 2), validation=np.arange(1, 32, 2))
    epochs = []
    fit(
        PLAIN,
        clips,
        split,
        max_epochs=1,
        seed=0,
        on_epoch=lambda epoch: epochs.append(epoch.metrics),
    )
    assert 0 <= epochs[0]["validation/accuracy"] <= 1


@pytest.mark.parametrize("name", ["22.05 kHz, 0.2 s", "8 kHz, 3 s, 40 mels"])
def test_clips_of_any_size_are_learned(name):
    view = SIZES[name].views["cnn"]
    clips = make_clips(num_recordings=4, sides=(view.num_mels, view.num_frames))
    config = replace(CnnConfig(), num_filters=2, min_steps=1, batch_size=8)
    epochs = []
    model = fit(
        config,
        clips,
        dataset_split(clips),
        max_epochs=1,
        seed=0,
        on_epoch=lambda epoch: epochs.append(epoch.metrics),
    )
    assert np.isfinite(epochs[0]["validation/loss"])
    probabilities = predict_probabilities(model, Inputs(clips.spectrograms[:2]))
    assert probabilities.shape == (2, 2)


@pytest.mark.parametrize("config", [PLAIN, EASY], ids=["best epoch", "last epoch"])
def test_clips_with_several_labels_are_learned_label_by_label(config):
    clips, epochs = make_clips_of_several_labels(), []
    split = SplitRows(train=np.arange(0, 32, 2), validation=np.arange(1, 32, 2))
    model = fit(
        replace(config, min_steps=8, label_smoothing=0.5),  # smoothing would blur all labels
        clips,
        split,
        max_epochs=8,
        seed=0,
        on_epoch=lambda epoch: epochs.append(epoch.metrics),
    )
    assert epochs[0].keys() == {
        *("train/loss", "train/learning_rate", "train/seconds"),
        *("validation/loss", "validation/mean_average_precision"),
    }
    probabilities = predict_probabilities(model, Inputs(clips.spectrograms[split.validation]))
    labels = clips.labels[split.validation]
    assert labels.all(axis=1).any()
    if config.schedule == "one_cycle":  # the best ranking may be that of an early epoch
        assert ((probabilities > 0.5) == labels).mean() > 0.9
        assert probabilities.sum(axis=1).max() > 1.5  # both labels of a clip are probable
    scores = [epoch["validation/mean_average_precision"] for epoch in epochs]
    kept = max if config.schedule == "plateau" else lambda values: values[-1]
    score = clips.score.compute(probabilities, labels)
    assert score == pytest.approx(kept(scores))
    assert score > 0.9


def test_labels_are_not_smoothed_if_clips_have_several():
    inputs = keras.Input((2,))
    model = keras.Model(inputs, keras.layers.Activation("sigmoid")(inputs))
    compile_model(model, EASY, num_steps=1, device=Device(), several_labels=True)
    loss = model.evaluate(np.array([[20.0, -20.0]]), np.array([[1.0, 0.0]]), verbose=0)
    assert loss == pytest.approx(0, abs=1e-5)
