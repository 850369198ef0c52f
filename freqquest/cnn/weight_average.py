"""Running averages of a network's weights, on both of Keras' backends. No Ray."""

from collections.abc import Callable

from freqquest.cnn.frameworks import keras

_Move = Callable[[float], None]
"""Moves the averages by a share of the way towards the trained weights."""


class AveragedWeights(keras.callbacks.Callback):  # type: ignore[misc]  # Keras is untyped
    """Keeps a second model with exponential averages of the first one's weights and statistics."""

    def __init__(self, averaged: keras.Model, trained: keras.Model, momentum: float) -> None:
        """Begin with the weights of `trained`.

        Args:
            averaged: Model of the same layers, which gets the averages.
            trained: Model that is trained.
            momentum: Share of the earlier average after many steps; 0 copies the weights.
        """
        super().__init__()
        averaged.set_weights(trained.get_weights())
        move = {"tensorflow": _move_in_tensorflow, "torch": _move_in_torch}
        self._move: _Move = move[keras.config.backend()](averaged, trained)
        self._momentum, self._step = momentum, 0

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Move towards the trained weights; faster at first, to forget the initial ones."""
        self._step += 1
        self._move(1 - min(self._momentum, self._step / (9 + self._step)))


def _move_in_tensorflow(averaged: keras.Model, trained: keras.Model) -> _Move:
    from freqquest.cnn.frameworks import tf

    pairs = list(zip(averaged.weights, trained.weights, strict=True))

    @tf.function(autograph=False)  # type: ignore[untyped-decorator]  # TensorFlow is untyped
    def move(share: tf.Tensor) -> None:
        for average, weight in pairs:
            average.assign_add(share * (weight - average))

    return lambda share: move(tf.constant(share))


def _move_in_torch(averaged: keras.Model, trained: keras.Model) -> _Move:
    """Move all weights in a few kernels."""
    from torch.optim.swa_utils import get_ema_multi_avg_fn

    averages = [weight.value for weight in averaged.weights]
    weights = [weight.value for weight in trained.weights]
    average: Callable[[float], Callable[..., None]] = get_ema_multi_avg_fn
    return lambda share: average(1 - share)(averages, weights, 0)
