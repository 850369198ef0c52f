"""A model and recordings to measure the speed of detection and of the service with.

As a program, given a file, it writes an untrained model, so that its caller loads no Keras.
"""

import subprocess
import sys
from pathlib import Path

import numpy as np
import soundfile

from freqquest.audio.clip import ClipConfig
from freqquest.audio.spectrogram import CNN_VIEW
from freqquest.cnn.average import average
from freqquest.cnn.config import PRESETS
from freqquest.cnn.devices import Device, prepare
from freqquest.cnn.model_card import ModelCard
from freqquest.cnn.model_file import add_card, to_bytes
from freqquest.cnn.network import build_model
from freqquest.dataset.manifest import Normalization

_NUM_CLASSES = 10
_MEAN_DB, _DEVIATION_DB = -40.0, 15.0
RATE_HZ = 44_100
"""Sample rate of the recordings; the model's is half of it."""


def write_recording(file: Path, seconds: float) -> None:
    """Write noise whose level changes every few seconds, as a mono 16-bit WAV file."""
    rng = np.random.default_rng(0)
    with soundfile.SoundFile(file, "w", RATE_HZ, 1, subtype="PCM_16") as sound:
        while sound.frames < seconds * RATE_HZ:
            length = min(rng.integers(1, 8) * RATE_HZ, int(seconds * RATE_HZ) - sound.frames)
            level = 10 ** rng.uniform(-3, -1)
            sound.write((level * rng.standard_normal(length)).clip(-1, 1).astype(np.float32))


def make_model(folder: Path) -> str:
    """Write an untrained model into a folder, in a process of its own, and return its path."""
    file = folder / "model.keras"
    subprocess.run([sys.executable, "-m", __name__, file], stderr=subprocess.DEVNULL, check=True)
    return str(file)


def untrained_model() -> bytes:
    """Return a model file with one untrained network of the preset `default`."""
    normalization = Normalization(
        mean=_MEAN_DB,
        standard_deviation=_DEVIATION_DB,
        band_means=[_MEAN_DB] * CNN_VIEW.num_mels,
        band_standard_deviations=[_DEVIATION_DB] * CNN_VIEW.num_mels,
    )
    sides = CNN_VIEW.num_mels, CNN_VIEW.num_frames
    member = build_model(PRESETS["default"], _NUM_CLASSES, sides, normalization)
    card = ModelCard(
        classes=[f"class {number}" for number in range(_NUM_CLASSES)],
        clip=ClipConfig(),
        view=CNN_VIEW,
        most_frequent_class="class 0",
        cnn_config={},
        num_members=1,
        trained_on="nothing",
        temperature=1.0,
        normalization=normalization,
        dataset_sha256="",
        scores={},
    )
    return add_card(to_bytes(average([member], 1.0)), card)


def main() -> None:
    """Write a model to the file that the command line names."""
    prepare(Device())
    Path(sys.argv[1]).write_bytes(untrained_model())


if __name__ == "__main__":
    main()
