"""Training of one configuration. No Ray: a test, a notebook and a trial run the same function.

Shapes: N clips, K classes.
"""

import math
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import partial

import numpy as np

from freqquest.cnn.batches import TrainingBatches
from freqquest.cnn.config import CnnConfig
from freqquest.cnn.devices import Device
from freqquest.cnn.frameworks import keras
from freqquest.cnn.labeled_clips import LabeledClips, SplitRows
from freqquest.cnn.network import build_model, predict_probabilities
from freqquest.cnn.start_weights import StartWeights
from freqquest.cnn.training_state import TrainingState
from freqquest.cnn.weight_average import AveragedWeights

EpochMetrics = dict[str, float]
"""Losses, the score of the validation clips, the accuracy of the training if clips have one label
each, learning rate, and the seconds of training so far."""


@dataclass(frozen=True, slots=True)
class Epoch:
    """An epoch that has ended."""

    probabilities: np.ndarray
    """`[N, K]` of the validation clips (empty without any), by the model that would be kept if
    training ended now."""
    metrics: EpochMetrics
    save: Callable[[], bytes]
    """Returns the state of the training, from which `fit` goes on."""


class DivergedError(Exception):
    """Raised when the loss becomes NaN or infinite."""


def fit(
    config: CnnConfig,
    clips: LabeledClips,
    split: SplitRows,
    *,
    max_epochs: int,
    seed: int,
    on_epoch: Callable[[Epoch], None] | None = None,
    saved: bytes | None = None,
    start: StartWeights | None = None,
    device: Device | None = None,
) -> keras.Model:
    """Train one configuration.

    Args:
        config: Network and training settings.
        clips: Clips that the rows refer to.
        split: Rows to train on and rows to evaluate on; without the latter, the last epoch is kept.
        max_epochs: Longest training.
        seed: Seed of initial weights, dropout, order and augmentation.
        on_epoch: Called after each epoch.
        saved: State of an interrupted training of the same settings, which goes on.
        start: Weights to begin with; random ones by default.
        device: Hardware, which `prepare` was called with; by default CPU cores.

    Returns:
        The model to keep: as configured, with averaged weights and of the best epoch. It computes
        in float32.

    Raises:
        DivergedError: The loss becomes NaN or infinite.
        UnusableStateError: `saved` is damaged, or of another backend.
    """
    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    device = device or Device()
    shape = clips.spectrograms.shape[1:]
    build = partial(
        build_model,
        config,
        len(clips.classes),
        shape,
        clips.normalization,
        several_labels=clips.has_several_labels,
    )
    model = build(mixed_precision=device.mixed_precision)
    if start is not None:
        start.give_to(model, clips.classes)
    batches = TrainingBatches(clips, split.train, config, seed, device.num_loader_threads)
    compile_model(
        model,
        config,
        num_steps=max_epochs * len(batches),
        device=device,
        several_labels=clips.has_several_labels,
    )
    kept, averaging = model, []
    if config.weight_average or device.mixed_precision:
        kept = build()
        averaging = [AveragedWeights(kept, model, config.weight_average)]
    evaluation = _EpochEvaluation(
        kept, clips, split.validation, keep_best=config.schedule == "plateau"
    )
    plateau = recipe_callbacks() if config.schedule == "plateau" and len(split.validation) else []
    state = TrainingState(model, kept, evaluation, plateau)
    if saved is not None:
        state.restore(saved)
        batches.begin_at(state.num_epochs)
    # The evaluation comes before the recipe's callbacks, which read its metrics.
    callbacks = [*averaging, evaluation, *plateau, state]
    if on_epoch is not None:
        report = keras.callbacks.LambdaCallback(
            on_epoch_end=lambda *_: on_epoch(
                Epoch(evaluation.probabilities, evaluation.metrics, state.save)
            )
        )
        callbacks.append(report)
    with closing(batches):
        try:
            if not state.has_ended:
                model.fit(
                    batches,
                    initial_epoch=state.num_epochs,
                    epochs=max_epochs,
                    callbacks=callbacks,
                    shuffle=False,
                    verbose=0,
                )
        except Exception as error:
            if batches.failure is None:
                raise
            raise batches.failure from error
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


class _EpochEvaluation(keras.callbacks.Callback):  # type: ignore[misc]  # Keras is untyped
    """Evaluates the model to keep after each epoch, also for Keras' own logs."""

    def __init__(
        self, kept: keras.Model, clips: LabeledClips, rows: np.ndarray, keep_best: bool
    ) -> None:
        super().__init__()
        self._kept, self._keep_best = kept, keep_best
        self._inputs, self._labels = clips.inputs(rows), clips.labels[rows]
        self._score = clips.score
        self._started = 0.0
        self.seconds = 0.0
        """Seconds of training so far."""
        self.best = -1.0
        """Best score of an epoch, if that one is to be kept."""
        self.best_weights: list[np.ndarray] | None = None
        """Weights of that epoch."""
        self.probabilities, self.metrics = np.zeros((0, 0)), EpochMetrics()
        """Of the last epoch."""

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self._started = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        assert logs is not None
        self.seconds += time.perf_counter() - self._started
        _require_finite(logs["loss"], epoch)
        metrics = {"train/loss": float(logs["loss"])}
        if "accuracy" in logs:
            metrics["train/accuracy"] = float(logs["accuracy"])
        metrics |= {
            "train/learning_rate": float(self.model.optimizer.learning_rate),
            "train/seconds": self.seconds,
        }
        if len(self._labels):
            self.probabilities = predict_probabilities(self._kept, self._inputs)
            logs["val_loss"] = self._score.loss(self.probabilities, self._labels)
            _require_finite(logs["val_loss"], epoch)
            score = self._score.compute(self.probabilities, self._labels)
            metrics |= {"validation/loss": logs["val_loss"], self._score.metric: score}
            if self._keep_best and score > self.best:
                self.best, self.best_weights = score, self._kept.get_weights()
        self.metrics = metrics

    def restore_best(self) -> None:
        """Give the model the weights of its best epoch, if that one is to be kept."""
        if self.best_weights is not None:
            self._kept.set_weights(self.best_weights)


def _require_finite(loss: float, epoch: int) -> None:
    if not math.isfinite(loss):
        raise DivergedError(f"epoch {epoch + 1}: the loss is {loss}")


def compile_model(
    model: keras.Model, config: CnnConfig, *, num_steps: int, device: Device, several_labels: bool
) -> None:
    """Give a network its optimizer, its loss and its metrics."""
    loss = keras.losses.CategoricalCrossentropy(label_smoothing=config.label_smoothing)
    model.compile(
        optimizer=_optimizer(config, num_steps),
        loss=keras.losses.BinaryCrossentropy() if several_labels else loss,
        metrics=[] if several_labels else ["accuracy"],
        # On a CPU, XLA takes longer to compile a step, and the compiled step is slower too.
        jit_compile="auto" if device.gpu_backend else False,
    )
    model.optimizer.build(model.trainable_variables)  # in the first step, it would trace it twice


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
