from dataclasses import replace

import keras
import numpy as np
import pytest

from freqquest.cnn.config import PRESETS, CnnConfig
from freqquest.cnn.labeled_clips import SplitRows, all_clips, dataset_split
from freqquest.cnn.training import (
    AveragedWeights,
    DivergedError,
    TrainingBatches,
    fit,
    recipe_callbacks,
)
from freqquest.cnn.tune_config import MAX_EPOCHS
from tests.cnn.conftest import make_clips

PLAIN = replace(
    PRESETS["reference"],
    num_blocks=2,
    num_filters=4,
    dense_units=8,
    dropout=0.0,
    learning_rate=0.01,
)
PLAIN = replace(PLAIN, batch_norm_momentum=0.9, batch_size=8)
RESIDUAL = CnnConfig(
    num_blocks=2, num_filters=8, input_pooling=1, batch_size=8, min_steps=8, learning_rate=0.01
)
RESIDUAL = replace(
    RESIDUAL,
    normalization="dataset",
    weight_average=0.9,
    batch_norm_momentum=0.5,
    mixup=0.0,
    equalizer_db=0.0,
    num_masks=0,
)
TWO_NETWORKS = replace(RESIDUAL, normalization=CnnConfig().normalization)


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
    "config", [PLAIN, RESIDUAL, TWO_NETWORKS], ids=["plain", "residual", "two networks"]
)
def test_a_fit_learns_and_reports_every_epoch(clips, config):
    epochs = []
    model = fit(
        config,
        clips,
        dataset_split(clips),
        max_epochs=6,
        seed=0,
        on_epoch=lambda _, metrics: epochs.append(metrics),
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


def test_without_validation_clips_the_last_epoch_is_kept(clips):
    model = fit(RESIDUAL, clips, all_clips(clips), max_epochs=1, seed=0)
    assert model.output_shape == (None, 2)


def test_the_same_seed_trains_the_same_model(clips):
    runs = [
        fit(RESIDUAL, clips, dataset_split(clips), max_epochs=2, seed=7).get_weights()
        for _ in range(2)
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
            on_epoch=lambda *epoch: reported.append(epoch),
        )
    assert not reported


def test_an_epoch_has_every_clip_once_in_a_new_order():
    clips = make_clips()
    clips.spectrograms[:] = -np.arange(32)[:, None, None]  # a clip's number in each of its values
    batches = TrainingBatches(
        clips, np.arange(32), replace(PRESETS["reference"], batch_size=10), seed=1
    )

    def epoch() -> list[int]:
        items = [batches[index] for index in range(len(batches))]
        assert [targets.shape for _, targets in items] == [(10, 2), (10, 2), (10, 2), (2, 2)]
        assert items[0][0].shape == (10, 16, 20, 1)
        assert items[0][0].dtype == np.float32
        numbers = [-int(clip[0, 0, 0]) for batch, _ in items for clip in batch]
        chosen = np.concatenate([targets.argmax(axis=1) for _, targets in items])
        assert (chosen == clips.class_indices[numbers]).all()
        return numbers

    first = epoch()
    batches.on_epoch_end()
    second = epoch()
    assert sorted(first) == sorted(second) == list(range(32))
    assert first != second


def test_one_version_of_each_clip_is_drawn_or_all_are_used():
    clips = make_clips(num_copies=2)
    rows = np.arange(len(clips.class_indices))
    drawn = TrainingBatches(
        clips, rows, replace(PRESETS["default"], batch_size=32, min_steps=0), seed=0
    )
    every_copy = TrainingBatches(clips, rows, replace(PRESETS["reference"], batch_size=32), seed=0)
    assert (len(drawn), len(every_copy)) == (1, 3)
    order = drawn._order
    assert sorted(clips.clip_ids[order]) == sorted(set(clips.clip_ids))
    assert clips.is_training_only[order].any()


def test_clips_of_long_recordings_are_drawn_less_often_and_classes_keep_their_shares():
    clips = make_clips(num_recordings=4, clips_per_recording=8)
    # Eight clips of one class, then six of the other.
    clips.recordings[:14] = [*["long"] * 7, "short", *["other"] * 6]
    config = replace(
        PRESETS["default"], recording_balance=1.0, class_balance=False, batch_size=32, min_steps=0
    )
    batches = TrainingBatches(clips, np.arange(32), config, seed=0)
    drawn = []
    for _ in range(50):
        drawn += list(batches._order)
        assert 14 <= np.bincount(clips.class_indices[batches._order])[0] <= 18
        batches.on_epoch_end()
    counts = np.bincount(drawn, minlength=32)
    assert counts[7] == pytest.approx(7 * counts[:7].mean(), rel=0.1)


def test_a_rare_class_is_drawn_as_often_as_the_others():
    clips = make_clips(num_recordings=4, clips_per_recording=8)
    only_first = (clips.class_indices != 0) | (np.arange(32) == 0)
    rows = np.flatnonzero(only_first)  # one clip of the first class
    config = replace(PRESETS["default"], recording_balance=0.0, batch_size=32, min_steps=3)
    drawn = np.bincount(clips.class_indices[TrainingBatches(clips, rows, config, seed=0)._order])
    assert drawn.max() - drawn.min() <= 1
    config = replace(config, class_balance=False)
    drawn = np.bincount(clips.class_indices[TrainingBatches(clips, rows, config, seed=0)._order])
    assert drawn[0] < drawn[1] / 4


def test_few_clips_are_repeated_within_an_epoch(clips):
    config = replace(PRESETS["default"], recording_balance=0.0, batch_size=8, min_steps=12)
    batches = TrainingBatches(clips, np.arange(32), config, seed=0)
    assert len(batches) == 12
    assert np.bincount(batches._order).tolist() == [3] * 32
    assert batches[11][0].shape == (8, 16, 20, 1)
    many = TrainingBatches(clips, np.arange(32), replace(config, batch_size=9, min_steps=2), seed=0)
    assert [len(targets) for _, targets in (many[step] for step in range(len(many)))] == [9, 9, 9]


def test_averaged_weights_move_fast_at_first_and_then_slowly():
    model = keras.Sequential([keras.layers.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    model.set_weights([np.array([[0.0]])])
    averaging = AveragedWeights(model, momentum=0.5)
    model.set_weights([np.array([[1.0]])])
    averaging.on_train_batch_end(0)
    assert averaging.averaged.get_weights()[0].item() == pytest.approx(1 - 1 / 10)
    averaging.on_train_batch_end(1)
    assert averaging.averaged.get_weights()[0].item() == pytest.approx(0.9 + 0.1 * (1 - 2 / 11))


def test_any_rows_can_be_trained_and_evaluated_on(clips):
    split = SplitRows(train=np.arange(0, 32, 2), validation=np.arange(1, 32, 2))
    epochs = []
    fit(PLAIN, clips, split, max_epochs=1, seed=0, on_epoch=lambda _, epoch: epochs.append(epoch))
    assert 0 <= epochs[0]["validation/accuracy"] <= 1
