import keras
import numpy as np
import pytest

from freqquest.cnn.weight_average import AveragedWeights


@pytest.mark.parametrize(
    ("share", "average"),
    [
        (0, 4),
        (1 / 3, (1 * 1 + 3 * 2 + 6 * 3 + 10 * 4) / 20),
        (1 / 2, (1 * 1 + 2 * 2 + 3 * 3 + 4 * 4) / 10),
        (1, (1 + 2 + 3 + 4) / 4),
    ],
)
def test_the_average_spans_a_share_of_the_steps(share, average):
    model = keras.Sequential([keras.layers.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    model.set_weights([np.array([[100.0]])])
    averaged = keras.models.clone_model(model)
    averaging = AveragedWeights(averaged, model, share)
    for step in range(1, 5):
        model.set_weights([np.array([[float(step)]])])
        averaging.on_train_batch_end(step)
    assert averaged.get_weights()[0].item() == pytest.approx(average)
