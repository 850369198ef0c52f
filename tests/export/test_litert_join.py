"""Two LiteRT graphs as one."""

import numpy as np
import pytest

from freqquest.export.classifier_graph import to_bytes
from freqquest.export.litert_join import join
from freqquest.export.runtimes import load


@pytest.fixture(scope="module")
def models():
    import keras

    keras.utils.set_random_seed(0)
    inputs, middle = keras.Input((8, 8, 1), name="waveform"), keras.Input((5,), name="other")
    maps = keras.layers.Conv2D(4, 3, bias_initializer="normal")(inputs)
    first = keras.Model(inputs, {"middle": keras.layers.Dense(5)(keras.layers.Flatten()(maps))})
    softmax = keras.layers.Softmax()(keras.layers.Dense(3, bias_initializer="normal")(middle))
    return first, keras.Model(middle, {"probabilities": softmax})


def test_the_second_graph_takes_the_output_of_the_first(models, tmp_path):
    first, second = models
    joined = join(*(to_bytes(model, "litert") for model in models))
    (tmp_path / "joined").write_bytes(joined)
    clips = np.random.default_rng(0).normal(size=(3, 8, 8, 1)).astype(np.float32)
    wanted = second.predict_on_batch(first.predict_on_batch(clips)["middle"])["probabilities"]
    run = load("litert", tmp_path / "joined")
    np.testing.assert_allclose(run(waveform=clips), wanted, rtol=1e-5, atol=1e-6)
