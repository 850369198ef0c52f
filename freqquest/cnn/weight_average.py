"""Running averages of a network's weights, on both of Keras' backends. No Ray."""

from collections.abc import Callable

from freqquest.cnn.frameworks import keras

_Move = Callable[[float], None]
"""Moves the averages by a share of the way towards the trained weights."""


class AveragedWeights(keras.callbacks.Callback):  # type: ignore[misc]  # Keras is untyped
    """Keeps a second model with averages of the first one's weights and statistics.

    Source: Shamir and Zhang, "Stochastic gradient descent for non-smooth optimization", 2013
    (polynomial-decay averaging), which needs to know neither the number of steps nor all weights.
    """

    def __init__(self, averaged: keras.Model, trained: keras.Model, share: float) -> None:
        """Begin with the weights of `trained`.

        Args:
            averaged: Model of the same layers, which gets the averages.
            trained: Model that is trained.
            share: Width s of the average: step t counts as t^(1/s - 1). With 1, all steps count
                alike; 0 copies the weights.
        """
        super().__init__()
        averaged.set_weights(trained.get_weights())
        move = {"tensorflow": _move_in_tensorflow, "torch": _move_in_torch}
        self._move: _Move = move[keras.config.backend()](averaged, trained)
        self._share, self._step = share, 0

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Count the steps of a training that goes on."""
        self._step = int(self.model.optimizer.iterations.numpy())

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Move towards the trained weights, more slowly the more steps there were."""
        self._step += 1
        self._move(1 / (1 + self._share * (self._step - 1)))


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
