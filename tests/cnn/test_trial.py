import keras
import numpy as np
import pytest

from freqquest.cnn.config import PRESETS, CnnConfig
from freqquest.cnn.trial import SpectrogramBatches, TrialData, fit, recipe_callbacks

TINY = CnnConfig(num_blocks=2, num_filters=4, dense_units=8, dropout=0.0, learning_rate=0.01, batch_size=8)


def data(num_clips: int = 32) -> TrialData:
    """Two classes that differ in which half of the bands is loud."""
    rng = np.random.default_rng(0)
    classes = np.arange(num_clips) % 2
    spectrograms = rng.normal(-60, 3, (num_clips, 16, 20))
    spectrograms[classes == 0, :8] += 30
    spectrograms[classes == 1, 8:] += 30
    spectrograms = spectrograms.astype(np.float16)
    return TrialData(
        train_spectrograms=spectrograms,
        train_classes=classes,
        validation_spectrograms=spectrograms[:8],
        validation_classes=classes[:8],
        num_classes=2,
        mean=-45.0,
        standard_deviation=15.0,
    )


def test_the_recipes_three_callbacks_have_its_values(tmp_path):
    checkpoint, reduce, stop = recipe_callbacks(tmp_path / "m.keras")
    assert isinstance(checkpoint, keras.callbacks.ModelCheckpoint)
    assert (checkpoint.monitor, checkpoint.save_best_only) == ("val_accuracy", True)
    assert isinstance(reduce, keras.callbacks.ReduceLROnPlateau)
    assert (reduce.monitor, reduce.factor, reduce.patience, reduce.min_lr) == ("val_loss", 0.5, 4, 1e-6)
    assert isinstance(stop, keras.callbacks.EarlyStopping)
    assert (stop.monitor, stop.patience, stop.restore_best_weights) == ("val_loss", 10, True)


def test_the_reference_trains_as_the_recipe_does():
    reference = PRESETS["reference"]
    assert (reference.learning_rate, reference.batch_size, reference.dropout) == (1e-3, 32, 0.3)
    assert not reference.standardise_input


def test_a_trial_learns_reports_every_epoch_and_keeps_its_best_model(tmp_path):
    epochs = []
    path = tmp_path / "model.keras"
    fit(TINY, data(), max_epochs=6, seed=0, model_path=path, on_epoch=epochs.append)
    assert len(epochs) == 6
    assert set(epochs[0]) == {
        "train/loss",
        "train/accuracy",
        "train/learning_rate",
        "validation/loss",
        "validation/accuracy",
    }
    assert epochs[-1]["train/loss"] < epochs[0]["train/loss"]
    model = keras.models.load_model(path)
    clips = data()
    predicted = np.array(model(clips.validation_spectrograms.astype(np.float32)[..., None])).argmax(axis=1)
    best = max(epoch["validation/accuracy"] for epoch in epochs)
    assert best > 0.8
    assert (predicted == clips.validation_classes).mean() == pytest.approx(best)


def test_the_same_seed_trains_the_same_model(tmp_path):
    runs = []
    for _ in range(2):
        epochs = []
        fit(TINY, data(), max_epochs=2, seed=7, model_path=tmp_path / "m.keras", on_epoch=epochs.append)
        runs.append([epoch["train/loss"] for epoch in epochs])
    assert runs[0] == pytest.approx(runs[1], rel=1e-4)


def test_batches_hold_every_clip_once_in_another_order_each_epoch():
    spectrograms = np.arange(10, dtype=np.float16)[:, None, None] * np.ones((1, 2, 3), np.float16)
    batches = SpectrogramBatches(spectrograms, np.arange(10), batch_size=4, seed=1)

    def epoch() -> list[int]:
        items = [batches[index] for index in range(len(batches))]
        assert [classes.shape[0] for _, classes in items] == [4, 4, 2]
        assert items[0][0].shape == (4, 2, 3, 1)
        assert items[0][0].dtype == np.float32
        assert all((clips[:, 0, 0, 0] == classes).all() for clips, classes in items)
        return [int(value) for _, classes in items for value in classes]

    first = epoch()
    batches.on_epoch_end()
    second = epoch()
    assert sorted(first) == sorted(second) == list(range(10))
    assert first != second
