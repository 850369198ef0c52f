"""Thresholds for detection in recordings, which are mostly noise and silence.

They are chosen on held-out clips and on negative clips (`freqquest.audio.negative_clips`), which
count as clips of no class. NumPy and scikit-learn; no Keras, no Ray.
Shapes: N held-out clips, M negative clips, K classes.
"""

import numpy as np

from freqquest.audio.negative_clips import negative_clips
from freqquest.cnn.scores import best_threshold
from freqquest.dataset.clip_inputs import Analysis, Inputs, join

_LOWEST_OTHERWISE = 0.5
"""Lowest threshold of a class that was not learned, or that no held-out clip has."""

_MAX_COPIES, _MAX_SECONDS = 4, 60.0
"""Most negative clips of a kind and a level, and the most seconds that they have together."""


def detection_thresholds(
    probabilities: np.ndarray, labels: np.ndarray, of_negatives: np.ndarray
) -> list[float]:
    """Return the threshold of each class with the highest F1 on held-out and negative clips.

    A class that was not learned, or that no held-out clip has, gets a threshold above all negative
    clips.

    Args:
        probabilities: Calibrated probabilities of the held-out clips, `[N, K]`.
        labels: Their true labels `[N, K]`, bool.
        of_negatives: Calibrated probabilities of the negative clips, `[M, K]`.
    """
    together = np.concatenate([probabilities, of_negatives])
    are_true = np.concatenate([labels, np.zeros(of_negatives.shape, bool)])
    above_negatives = (1 + of_negatives.max(axis=0, initial=0.0)) / 2
    return [
        best_threshold(of_class, is_true, max(_LOWEST_OTHERWISE, float(otherwise)))
        for of_class, is_true, otherwise in zip(
            together.T, are_true.T, above_negatives, strict=True
        )
    ]


def negative_inputs(analysis: Analysis) -> Inputs:
    """Return the inputs of the negative clips, with spectrograms in float16 as in a dataset.

    Args:
        analysis: That of the model's clips.
    """
    copies = int(np.clip(_MAX_SECONDS // analysis.clip.duration_s, 1, _MAX_COPIES))
    waveforms = negative_clips(analysis.clip, copies)
    inputs = join(analysis.analyze(waveform) for _, waveform in waveforms)
    return inputs._replace(spectrograms=inputs.spectrograms.astype(np.float16))
