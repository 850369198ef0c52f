"""Fit one configuration. Knows nothing of Ray, so a test, a notebook and a trial run the same function.

Shapes: N clips, M mel bands, T frames.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import keras
import numpy as np

from freqquest.cnn.config import CnnConfig
from freqquest.cnn.model import build_model
from freqquest.dataset.read import epoch_order


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialData:
    """What every trial learns from and is judged on; shared by all trials of a node."""

    train_spectrograms: np.ndarray
    """`[N, M, T]`, float16."""
    train_classes: np.ndarray
    """`[N]`."""
    validation_spectrograms: np.ndarray
    validation_classes: np.ndarray
    num_classes: int
    mean: float
    standard_deviation: float


class SpectrogramBatches(keras.utils.PyDataset):
    """Batches in an order given by (seed, epoch) alone, converted to float32 as they are needed.

    The arrays stay where they are (shared memory, in a trial), so their size does not multiply with trials.
    """

    def __init__(self, spectrograms: np.ndarray, classes: np.ndarray, batch_size: int, seed: int | None = None) -> None:
        """Without a seed, the order stays that of the arrays."""
        super().__init__()
        self._spectrograms, self._classes = spectrograms, classes
        self._batch_size, self._seed, self._epoch = batch_size, seed, 0
        self._order = self._next_order()

    def __len__(self) -> int:
        return -(-len(self._classes) // self._batch_size)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        chosen = self._order[index * self._batch_size : (index + 1) * self._batch_size]
        return self._spectrograms[chosen].astype(np.float32)[..., None], self._classes[chosen]

    def on_epoch_end(self) -> None:
        """Called by Keras after each epoch."""
        self._epoch += 1
        self._order = self._next_order()

    def _next_order(self) -> np.ndarray:
        if self._seed is None:
            return np.arange(len(self._classes))
        return epoch_order(len(self._classes), self._seed, self._epoch)


def recipe_callbacks(model_path: Path) -> list[keras.callbacks.Callback]:
    """The recipe's three callbacks, with its values; the best epoch's model is kept in `model_path`."""
    return [
        keras.callbacks.ModelCheckpoint(model_path, monitor="val_accuracy", mode="max", save_best_only=True),
        keras.callbacks.ReduceLROnPlateau(monitor="val_loss", factor=0.5, patience=4, min_lr=1e-6),
        keras.callbacks.EarlyStopping(monitor="val_loss", patience=10, restore_best_weights=True),
    ]


def fit(
    config: CnnConfig,
    data: TrialData,
    *,
    max_epochs: int,
    seed: int,
    model_path: Path,
    on_epoch: Callable[[dict[str, float]], None],
) -> None:
    """Train one configuration; the model of its best epoch is left in `model_path`.

    Args:
        config: Network and training settings.
        data: Training and validation clips.
        max_epochs: Longest training.
        seed: Of initial weights, dropout and order.
        model_path: Ends in `.keras`.
        on_epoch: Called after each epoch with its losses, accuracies and learning rate.
    """
    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    _, num_mels, num_frames = data.train_spectrograms.shape
    model = build_model(config, data.num_classes, (num_mels, num_frames), data.mean, data.standard_deviation)
    model.compile(
        optimizer=keras.optimizers.Adam(config.learning_rate),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    model.fit(
        SpectrogramBatches(data.train_spectrograms, data.train_classes, config.batch_size, seed),
        validation_data=SpectrogramBatches(data.validation_spectrograms, data.validation_classes, config.batch_size),
        epochs=max_epochs,
        callbacks=[
            *recipe_callbacks(model_path),
            keras.callbacks.TerminateOnNaN(),
            keras.callbacks.LambdaCallback(on_epoch_end=lambda _, logs: on_epoch(_figures(model, logs))),
        ],
        shuffle=False,
        verbose=0,
    )


def _figures(model: keras.Model, logs: dict[str, Any]) -> dict[str, float]:
    """An epoch's figures under our names."""
    return {
        "train/loss": float(logs["loss"]),
        "train/accuracy": float(logs["accuracy"]),
        "validation/loss": float(logs["val_loss"]),
        "validation/accuracy": float(logs["val_accuracy"]),
        "train/learning_rate": float(model.optimizer.learning_rate),
    }


@cache
def prepare_tensorflow(num_threads: int) -> None:
    """Keep TensorFlow to a trial's cores and to the GPU memory it uses; once a process, before any operation."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(num_threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    for gpu in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(gpu, True)
