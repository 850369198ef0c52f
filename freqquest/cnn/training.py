"""Training of one configuration. No Ray: a test, a notebook and a trial run the same function.

Shapes: N clips, B clips of a batch, M mel bands, T frames, K classes.
"""

import math
import time
from collections import Counter
from collections.abc import Callable

import numpy as np

from freqquest.cnn.augment import augment
from freqquest.cnn.config import CnnConfig
from freqquest.cnn.frameworks import keras, tf
from freqquest.cnn.labeled_clips import LabeledClips, SplitRows
from freqquest.cnn.network import build_model, predict_probabilities

EpochMetrics = dict[str, float]
"""Losses, accuracies, learning rate, and the seconds of training so far."""

OnEpoch = Callable[[np.ndarray, EpochMetrics], None]
"""Receives the validation probabilities `[N, K]` (empty without validation clips) of the model that
would be kept if training ended now, and the epoch's metrics."""


class DivergedError(Exception):
    """Raised when the loss becomes NaN or infinite."""


def fit(
    config: CnnConfig,
    clips: LabeledClips,
    split: SplitRows,
    *,
    max_epochs: int,
    seed: int,
    on_epoch: OnEpoch | None = None,
) -> keras.Model:
    """Train one configuration.

    Args:
        config: Network and training settings.
        clips: Clips that the rows refer to.
        split: Rows to train on and rows to evaluate on; without the latter, the last epoch is kept.
        max_epochs: Longest training.
        seed: Seed of initial weights, dropout, order and augmentation.
        on_epoch: Called after each epoch.

    Returns:
        The model to keep: as configured, with averaged weights and of the best epoch.

    Raises:
        DivergedError: The loss becomes NaN or infinite.
    """
    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    model = build_model(
        config, len(clips.classes), clips.spectrograms.shape[1:], clips.normalization
    )
    batches = TrainingBatches(clips, split.train, config, seed)
    _compile(model, config, num_steps=max_epochs * len(batches))
    averaging = [AveragedWeights(model, config.weight_average)] if config.weight_average else []
    kept = averaging[0].averaged if averaging else model
    evaluation = _EpochEvaluation(
        kept, clips, split.validation, on_epoch, keep_best=config.schedule == "plateau"
    )
    plateau = recipe_callbacks() if config.schedule == "plateau" and len(split.validation) else []
    # The evaluation comes before the recipe's callbacks, which read its metrics.
    model.fit(
        batches,
        epochs=max_epochs,
        callbacks=[*averaging, evaluation, *plateau],
        shuffle=False,
        verbose=0,
    )
    evaluation.restore_best()
    return kept


def recipe_callbacks() -> list[keras.callbacks.Callback]:
    """Return the recipe's callbacks, with its values.

    Its third one, ModelCheckpoint, is done in memory by `_EpochEvaluation`.
    """
    return [
        keras.callbacks.ReduceLROnPlateau(monitor="val_loss", factor=0.5, patience=4, min_lr=1e-6),
        keras.callbacks.EarlyStopping(monitor="val_loss", patience=10, restore_best_weights=True),
    ]


class TrainingBatches(keras.utils.PyDataset):  # type: ignore[misc]  # Keras is untyped
    """Shuffled, augmented batches `[B, M, T, 1]` with targets `[B, K]`.

    They depend on (seed, epoch, step) alone. The clips are not copied: trials share them in memory.
    """

    def __init__(self, clips: LabeledClips, rows: np.ndarray, config: CnnConfig, seed: int) -> None:
        super().__init__()
        self._clips, self._config, self._seed, self._epoch = clips, config, seed, 0
        self._targets = np.eye(len(clips.classes), dtype=np.float32)
        self._versions = [np.array([row]) for row in rows]
        """Rows of each clip, one of which is drawn."""
        if config.copies == "draw":
            by_clip: dict[str, list[int]] = {}
            for row in rows:
                by_clip.setdefault(clips.clip_ids[row], []).append(row)
            self._versions = [np.array(versions) for versions in by_clip.values()]
        self._shares_until = np.cumsum(self._shares())
        self._num_drawn = len(self._versions)
        if config.min_steps:
            # Whole batches only: batch normalization suffers from batches of one or two clips.
            num_steps = max(self._num_drawn // config.batch_size, config.min_steps)
            self._num_drawn = num_steps * config.batch_size
        self._order = self._next_order()

    def _shares(self) -> np.ndarray:
        """Return the share of each clip in an epoch; they sum to 1."""
        clips, firsts = self._clips, [versions[0] for versions in self._versions]
        counts = Counter(clips.recordings[row] for row in firsts)
        sizes = np.array([counts[clips.recordings[row]] for row in firsts])
        labels = clips.class_indices[firsts]
        return _scale_by_class(
            sizes**-self._config.recording_balance, labels, self._config.class_balance
        )

    def __len__(self) -> int:
        return -(-self._num_drawn // self._config.batch_size)

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
        """Draw the next epoch's rows; Keras calls this after each epoch."""
        self._epoch += 1
        self._order = self._next_order()

    def _next_order(self) -> np.ndarray:
        """Draw an epoch's rows and shuffle them.

        Systematic resampling draws clips of equal share equally often.
        """
        rng = np.random.default_rng([self._seed, self._epoch])
        quantiles = (np.arange(self._num_drawn) + rng.uniform(0.01, 0.99)) / self._num_drawn
        drawn = np.minimum(np.searchsorted(self._shares_until, quantiles), len(self._versions) - 1)
        return np.array([rng.choice(self._versions[clip]) for clip in rng.permutation(drawn)])


def _scale_by_class(weights: np.ndarray, labels: np.ndarray, is_balanced: bool) -> np.ndarray:
    """Scale weights `[N]` so that each class sums to its share of the clips, or all to the same."""
    sums, counts = np.bincount(labels, weights), np.bincount(labels)
    class_shares = (counts > 0) / np.count_nonzero(counts) if is_balanced else counts / len(labels)
    shares: np.ndarray = weights / sums[labels] * class_shares[labels]
    return shares


class AveragedWeights(keras.callbacks.Callback):  # type: ignore[misc]  # Keras is untyped
    """Keeps a second model with exponential averages of the first one's weights and statistics."""

    def __init__(self, model: keras.Model, momentum: float) -> None:
        super().__init__()
        self.averaged: keras.Model = keras.models.clone_model(model)
        self.averaged.set_weights(model.get_weights())
        self._pairs = list(zip(self.averaged.weights, model.weights, strict=True))
        self._momentum, self._step = momentum, 0
        self._update = tf.function(self._move)

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Move towards the trained weights; faster at first, to forget the initial ones."""
        self._step += 1
        self._update(tf.constant(1 - min(self._momentum, self._step / (9 + self._step))))

    def _move(self, share: tf.Tensor) -> None:
        for averaged, trained in self._pairs:
            averaged.assign_add(share * (trained - averaged))


class _EpochEvaluation(keras.callbacks.Callback):  # type: ignore[misc]  # Keras is untyped
    """Evaluates the model to keep after each epoch, for Keras' own logs and for `on_epoch`."""

    def __init__(
        self,
        kept: keras.Model,
        clips: LabeledClips,
        rows: np.ndarray,
        on_epoch: OnEpoch | None,
        keep_best: bool,
    ) -> None:
        super().__init__()
        self._kept, self._on_epoch, self._keep_best = kept, on_epoch, keep_best
        self._spectrograms, self._classes = clips.spectrograms[rows], clips.class_indices[rows]
        self._best_accuracy, self._best_weights = -1.0, None
        self._seconds, self._started = 0.0, 0.0

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self._started = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        assert logs is not None
        self._seconds += time.perf_counter() - self._started
        _require_finite(logs["loss"], epoch)
        metrics = {
            "train/loss": float(logs["loss"]),
            "train/accuracy": float(logs["accuracy"]),
            "train/learning_rate": float(self.model.optimizer.learning_rate),
            "train/seconds": self._seconds,
        }
        probabilities = np.zeros((0, 0))
        if len(self._classes):
            probabilities = predict_probabilities(self._kept, self._spectrograms)
            of_truth = probabilities[np.arange(len(self._classes)), self._classes]
            logs["val_loss"] = float(-np.log(of_truth + keras.backend.epsilon()).mean())
            _require_finite(logs["val_loss"], epoch)
            accuracy = float((probabilities.argmax(axis=1) == self._classes).mean())
            metrics |= {"validation/loss": logs["val_loss"], "validation/accuracy": accuracy}
            if self._keep_best and accuracy > self._best_accuracy:
                self._best_accuracy, self._best_weights = accuracy, self._kept.get_weights()
        if self._on_epoch is not None:
            self._on_epoch(probabilities, metrics)

    def restore_best(self) -> None:
        """Give the model the weights of its best epoch, if that one is to be kept."""
        if self._best_weights is not None:
            self._kept.set_weights(self._best_weights)


def _require_finite(loss: float, epoch: int) -> None:
    if not math.isfinite(loss):
        raise DivergedError(f"epoch {epoch + 1}: the loss is {loss}")


def _compile(model: keras.Model, config: CnnConfig, num_steps: int) -> None:
    model.compile(
        optimizer=_optimizer(config, num_steps),
        loss=keras.losses.CategoricalCrossentropy(label_smoothing=config.label_smoothing),
        metrics=["accuracy"],
    )


def _optimizer(config: CnnConfig, num_steps: int) -> keras.optimizers.Optimizer:
    learning_rate: float | keras.optimizers.schedules.LearningRateSchedule = config.learning_rate
    if config.schedule == "one_cycle":
        warm_up = max(1, num_steps // 10)
        learning_rate = keras.optimizers.schedules.CosineDecay(
            config.learning_rate / 10,
            max(1, num_steps - warm_up),
            alpha=1e-3,
            warmup_target=config.learning_rate,
            warmup_steps=warm_up,
        )
    if config.optimizer == "adam":
        return keras.optimizers.Adam(learning_rate)
    optimizer = keras.optimizers.AdamW(learning_rate, weight_decay=config.weight_decay)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer
