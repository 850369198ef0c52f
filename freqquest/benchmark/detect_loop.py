"""The plain loop over the windows of a recording, the baseline of detection.

One process: each window is read, resampled and analyzed by librosa, and the network classifies 64
at once on all cores. As a program, given a model, a recording, the step and a number of windows, it
prints the seconds that the loop takes, without imports.
"""

import sys
import time

import librosa
import numpy as np

from freqquest.cluster.cores import num_usable_cores
from freqquest.cnn.devices import Device, prepare
from freqquest.cnn.model_file import load_model, read_card
from freqquest.storage import locate

_BATCH = 64


def main() -> None:
    """Time the loop."""
    model_path, recording, hop_s, num_windows = sys.argv[1:]
    prepare(Device(num_threads=num_usable_cores()))
    card, model = read_card(locate(model_path)), load_model(locate(model_path))
    clip, view = card.clip, card.view

    def classify(numbers: range) -> None:
        spectrograms = []
        for number in numbers:
            waveform, _ = librosa.load(
                recording,
                sr=clip.sample_rate_hz,
                offset=number * float(hop_s),
                duration=clip.duration_s,
            )
            power = librosa.feature.melspectrogram(
                y=waveform,
                sr=clip.sample_rate_hz,
                n_fft=view.n_fft,
                hop_length=view.hop_length,
                n_mels=view.num_mels,
            )
            spectrograms.append(librosa.power_to_db(power, ref=np.max))
        model.predict_on_batch(np.stack(spectrograms)[..., None])

    batches = [
        range(first, min(first + _BATCH, int(num_windows)))
        for first in range(0, int(num_windows), _BATCH)
    ]
    classify(batches[0])  # one-time setup is not part of the loop
    started = time.perf_counter()
    for batch in batches:
        classify(batch)
    print(time.perf_counter() - started)


if __name__ == "__main__":
    main()
