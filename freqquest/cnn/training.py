"""Fit one configuration. Knows nothing of Ray, so a test, a notebook and a trial run the same function.

Shapes: N clips, M mel bands, T frames, K classes.
"""

import math
import time
from collections import Counter
from collections.abc import Callable
from functools import cache
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from freqquest.cnn.augment import augment
from freqquest.cnn.config import CnnConfig
from freqquest.cnn.labeled_clips import LabeledClips, SplitRows
from freqquest.cnn.network import build_model

_PREDICTION_BATCH = 64

OnEpoch = Callable[[np.ndarray, dict[str, float]], None]
"""Is told the probabilities `[N, K]` of the validation clips, by the model as it would be if training ended here (empty
where there are none), and losses, accuracies, learning rate and the seconds that training took."""


class DivergedError(Exception):
    """The loss is no finite number any more."""


def fit(
    config: CnnConfig,
    clips: LabeledClips,
    part: SplitRows,
    *,
    max_epochs: int,
    seed: int,
    on_epoch: OnEpoch | None = None,
) -> keras.Model:
    """Train one configuration.

    Args:
        config: Network and training settings.
        clips: Where the rows lie.
        part: Rows to learn from, and rows to be judged by; without any of these, the last epoch counts.
        max_epochs: Longest training.
        seed: Of initial weights, dropout, order and augmentation.
        on_epoch: Called after each epoch.

    Returns:
        The model that counts: of averaged weights, and of the best epoch, where the configuration says so.

    Raises:
        DivergedError: The loss is not finite.
    """
    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    model = build_model(
        config, len(clips.classes), clips.spectrograms.shape[1:], clips.normalization
    )
    batches = TrainingBatches(clips, part.train, config, seed)
    model.compile(
        optimizer=_optimizer(config, max_epochs * len(batches)),
        loss=keras.losses.CategoricalCrossentropy(label_smoothing=config.label_smoothing),
        metrics=["accuracy"],
    )
    averaging = [AveragedWeights(model, config.weight_average)] if config.weight_average else []
    counted = averaging[0].averaged if averaging else model
    judge = _EpochEvaluation(
        counted, clips, part.validation, on_epoch, keep_best=config.schedule == "plateau"
    )
    plateau = recipe_callbacks() if config.schedule == "plateau" and len(part.validation) else []
    # The judge comes before the recipe's callbacks, which read its figures.
    model.fit(
        batches,
        epochs=max_epochs,
        callbacks=[*averaging, judge, *plateau],
        shuffle=False,
        verbose=0,
    )
    judge.restore_best()
    return counted


def recipe_callbacks() -> list[keras.callbacks.Callback]:
    """The recipe's callbacks, with its values. Its third, ModelCheckpoint, is what `_Judge` does in memory."""
    return [
        keras.callbacks.ReduceLROnPlateau(monitor="val_loss", factor=0.5, patience=4, min_lr=1e-6),
        keras.callbacks.EarlyStopping(monitor="val_loss", patience=10, restore_best_weights=True),
    ]


def predict_probabilities(model: Any, spectrograms: np.ndarray) -> np.ndarray:
    """Class probabilities `[N, K]` of spectrograms `[N, M, T]`, a batch at a time."""
    starts = range(0, len(spectrograms), _PREDICTION_BATCH)
    batches = (
        spectrograms[start : start + _PREDICTION_BATCH].astype(np.float32)[..., None]
        for start in starts
    )
    return np.concatenate([model.predict_on_batch(batch) for batch in batches])


class TrainingBatches(keras.utils.PyDataset):
    """Shuffled, varied batches `[B, M, T, 1]` with targets `[B, K]`, given by (seed, epoch, step) alone.

    The clips stay where they are (shared memory, in a trial), so their size does not multiply with trials.
    """

    def __init__(self, clips: LabeledClips, rows: np.ndarray, config: CnnConfig, seed: int) -> None:
        super().__init__()
        self._clips, self._config, self._seed, self._epoch = clips, config, seed, 0
        self._targets = np.eye(len(clips.classes), dtype=np.float32)
        self._choices = [np.array([row]) for row in rows]
        if config.copies == "draw":
            by_clip: dict[str, list[int]] = {}
            for row in rows:
                by_clip.setdefault(clips.clip_ids[row], []).append(row)
            self._choices = [np.array(choices) for choices in by_clip.values()]
        counts = Counter(clips.recordings[choices[0]] for choices in self._choices)
        sizes = np.array([counts[clips.recordings[choices[0]]] for choices in self._choices])
        labels = clips.class_indices[[choices[0] for choices in self._choices]]
        self._ends = np.cumsum(
            _shares(sizes**-config.recording_balance, labels, config.class_balance)
        )
        self._count = len(self._choices)
        if (
            config.min_steps
        ):  # whole batches only: one of a clip or two would upset the batch normalization
            self._count = (
                max(self._count // config.batch_size, config.min_steps) * config.batch_size
            )
        self._order = self._next_order()

    def __len__(self) -> int:
        return -(-self._count // self._config.batch_size)

    def __getitem__(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        rows = self._order[step * self._config.batch_size : (step + 1) * self._config.batch_size]
        spectrograms, targets = augment(
            self._clips.spectrograms[rows],
            self._targets[self._clips.class_indices[rows]],
            self._config,
            self._clips.normalization.mean,
            np.random.default_rng([self._seed, self._epoch, step]),
        )
        return spectrograms[..., None], targets

    def on_epoch_end(self) -> None:
        """Called by Keras after each epoch."""
        self._epoch += 1
        self._order = self._next_order()

    def _next_order(self) -> np.ndarray:
        """An epoch's rows, shuffled; clips that count alike come equally often (systematic resampling)."""
        rng = np.random.default_rng([self._seed, self._epoch])
        places = (np.arange(self._count) + rng.uniform(0.01, 0.99)) / self._count
        drawn = np.minimum(np.searchsorted(self._ends, places), len(self._choices) - 1)
        return np.array([rng.choice(self._choices[clip]) for clip in rng.permutation(drawn)])


class AveragedWeights(keras.callbacks.Callback):
    """Keeps a second model, whose weights and running statistics are exponential averages of the first one's."""

    def __init__(self, model: keras.Model, memory: float) -> None:
        super().__init__()
        self.averaged: keras.Model = keras.models.clone_model(model)
        self.averaged.set_weights(model.get_weights())
        self._pairs = list(zip(self.averaged.weights, model.weights, strict=True))
        self._memory, self._step = memory, 0
        self._update = tf.function(self._move)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Move a little towards the trained weights; at first more, so that the start is soon forgotten."""
        self._step += 1
        self._update(tf.constant(1 - min(self._memory, self._step / (9 + self._step))))

    def _move(self, share: tf.Tensor) -> None:
        for averaged, trained in self._pairs:
            averaged.assign_add(share * (trained - averaged))


class _EpochEvaluation(keras.callbacks.Callback):
    """After each epoch: scores of the model that counts, into Keras' own logs and to whoever asked for them."""

    def __init__(
        self,
        counted: keras.Model,
        clips: LabeledClips,
        rows: np.ndarray,
        on_epoch: OnEpoch | None,
        keep_best: bool,
    ) -> None:
        super().__init__()
        self._counted, self._on_epoch, self._keep_best = counted, on_epoch, keep_best
        self._spectrograms, self._classes = clips.spectrograms[rows], clips.class_indices[rows]
        self._best_accuracy, self._best_weights = -1.0, None
        self._seconds, self._started = 0.0, 0.0

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._started = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        assert logs is not None
        self._seconds += time.perf_counter() - self._started
        _require_finite(logs["loss"], epoch)
        figures = {
            "train/loss": float(logs["loss"]),
            "train/accuracy": float(logs["accuracy"]),
            "train/learning_rate": float(self.model.optimizer.learning_rate),
            "train/seconds": self._seconds,
        }
        probabilities = np.zeros((0, 0))
        if len(self._classes):
            probabilities = predict_probabilities(self._counted, self._spectrograms)
            right = probabilities[np.arange(len(self._classes)), self._classes]
            logs["val_loss"] = float(-np.log(right + keras.backend.epsilon()).mean())
            _require_finite(logs["val_loss"], epoch)
            accuracy = float((probabilities.argmax(axis=1) == self._classes).mean())
            figures |= {"validation/loss": logs["val_loss"], "validation/accuracy": accuracy}
            if self._keep_best and accuracy > self._best_accuracy:
                self._best_accuracy, self._best_weights = accuracy, self._counted.get_weights()
        if self._on_epoch is not None:
            self._on_epoch(probabilities, figures)

    def restore_best(self) -> None:
        """Give the model the weights of its best epoch, where that one counts."""
        if self._best_weights is not None:
            self._counted.set_weights(self._best_weights)


def _shares(weights: np.ndarray, labels: np.ndarray, balanced: bool) -> np.ndarray:
    """Weights `[N]` scaled to sum to 1, and over each class to its share of the clips, or all classes to the same."""
    sums, counts = np.bincount(labels, weights), np.bincount(labels)
    of_class = (counts > 0) / np.count_nonzero(counts) if balanced else counts / len(labels)
    return weights / sums[labels] * of_class[labels]


def _require_finite(loss: float, epoch: int) -> None:
    if not math.isfinite(loss):
        raise DivergedError(f"epoch {epoch + 1}: the loss is {loss}")


def _optimizer(config: CnnConfig, num_steps: int) -> keras.optimizers.Optimizer:
    step_size: Any = config.learning_rate
    if config.schedule == "one_cycle":
        warm_up = max(1, num_steps // 10)
        step_size = keras.optimizers.schedules.CosineDecay(
            config.learning_rate / 10,
            max(1, num_steps - warm_up),
            alpha=1e-3,
            warmup_target=config.learning_rate,
            warmup_steps=warm_up,
        )
    if config.optimizer == "adam":
        return keras.optimizers.Adam(step_size)
    optimizer = keras.optimizers.AdamW(step_size, weight_decay=config.weight_decay)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer


@cache
def prepare_tensorflow(num_threads: int, use_gpu: bool) -> None:
    """Keep TensorFlow to its task's cores, and off the GPUs or to the GPU memory it uses; before any operation."""
    tf.config.threading.set_intra_op_parallelism_threads(num_threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    if not use_gpu:  # Ray hides the GPUs only from tasks that asked for some
        tf.config.set_visible_devices([], "GPU")
        return
    for gpu in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(gpu, True)
