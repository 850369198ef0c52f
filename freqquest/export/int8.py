"""A classifier for LiteRT whose network computes in whole numbers of 8 bits.

Three graphs are joined: the spectrogram in float32, the network up to its logits in 8 bits, and the
probabilities in float32. In 8 bits, a power has too small a range, and a probability below 1/512 is
zero, whose logarithm would rule the average of several networks.
Keras is imported inside the functions; no Ray. Shapes: N clips, M mel bands, T frames.
"""

from typing import TYPE_CHECKING

import numpy as np

from freqquest.cnn.average import split_at_logits
from freqquest.cnn.model_card import ModelCard
from freqquest.export.classifier_graph import to_bytes, with_front_end
from freqquest.export.litert_join import join

if TYPE_CHECKING:
    import keras


def to_int8(network: "keras.Model", card: ModelCard, spectrograms: np.ndarray) -> bytes:
    """Return the content of a LiteRT file from waveforms to probabilities.

    Args:
        network: The classifier's network.
        card: Its card.
        spectrograms: `[N, M, T]`, training clips that set the ranges of the numbers.
    """
    from freqquest.cnn.frameworks import tf

    body, last = split_at_logits(network, card.temperature, several_labels=card.has_several_labels)
    inputs = spectrograms.astype(np.float32)[..., None]
    network_int8 = to_bytes(
        body,
        "litert",
        optimizations=[tf.lite.Optimize.DEFAULT],
        representative_dataset=lambda: ({"spectrogram": each[None]} for each in inputs),
        target_spec={
            "supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS_INT8, tf.lite.OpsSet.TFLITE_BUILTINS]
        },
    )
    front_end = to_bytes(with_front_end(None, card), "litert")
    return join(join(front_end, network_int8), to_bytes(last, "litert"))
