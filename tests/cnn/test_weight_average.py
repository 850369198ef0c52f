import keras
import numpy as np
import pytest

from freqquest.cnn.weight_average import AveragedWeights


def test_averaged_weights_move_fast_at_first_and_then_slowly():
    model = keras.Sequential([keras.layers.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    model.set_weights([np.array([[0.0]])])
    averaged = keras.models.clone_model(model)
    averaging = AveragedWeights(averaged, model, momentum=0.5)
    model.set_weights([np.array([[1.0]])])
    averaging.on_train_batch_end(0)
    assert averaged.get_weights()[0].item() == pytest.approx(1 - 1 / 10)
    averaging.on_train_batch_end(1)
    assert averaged.get_weights()[0].item() == pytest.approx(0.9 + 0.1 * (1 - 2 / 11))
