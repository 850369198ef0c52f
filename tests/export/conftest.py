"""Small untrained classifiers of any settings, whose probabilities differ between clips."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from freqquest.audio.clip import ClipConfig
from freqquest.audio.spectrogram import CNN_VIEW
from freqquest.cnn.average import average
from freqquest.cnn.model_card import ModelCard
from freqquest.cnn.model_file import add_card, load_model, to_bytes
from freqquest.cnn.network import build_model, predict_probabilities
from freqquest.dataset.clip_inputs import Inputs
from freqquest.dataset.manifest import Normalization
from freqquest.dataset.views import make_view
from freqquest.storage import Location, locate
from tests.cnn.conftest import SMALLEST, make_card

CLASSES = ["low", "high", "noise"]
SMALL = replace(SMALLEST, num_blocks=1)
RECIPE, SHORT = ClipConfig(), ClipConfig(sample_rate_hz=16_000, duration_s=1.0)

Probabilities = Callable[[np.ndarray], np.ndarray]


def write_model(
    file: Location,
    clip: ClipConfig = SHORT,
    *,
    num_members: int = 1,
    several: bool = False,
    classes: list[str] = CLASSES,
    **changes: object,
) -> Location:
    """Write a classifier of untrained networks; the changes are those of its card."""
    import keras

    num_mels = 128 if clip == RECIPE else 32
    view = make_view(
        CNN_VIEW,
        clip,
        num_mels=num_mels,
        min_frequency_hz=0.0,
        max_frequency_hz=None,
        n_fft=None,
        hop_length=None,
    )
    normalization = Normalization(
        mean=-40.0,
        standard_deviation=20.0,
        band_means=[-40.0] * num_mels,
        band_standard_deviations=[20.0] * num_mels,
    )
    keras.utils.set_random_seed(0)
    sides = num_mels, view.num_frames
    members = [
        build_model(SMALL, len(classes), sides, normalization, several_labels=several)
        for _ in range(num_members)
    ]
    for seed, member in enumerate(members):
        for head in (layer for layer in member.layers if isinstance(layer, keras.layers.Dense)):
            head.kernel.assign(np.random.default_rng(seed).normal(0, 10, head.kernel.shape))
    card = replace(make_card(classes, normalization), clip=clip, view=view, **changes)
    if several:
        thresholds = [0.5] * len(classes)
        card = replace(card, thresholds=thresholds, temperature=[0.7] * len(classes))
    model = average(members, temperature=card.temperature, several_labels=several)
    file.write_bytes(add_card(to_bytes(model), card))
    return file


def waveforms(card: ModelCard, num_clips: int = 3) -> np.ndarray:
    """Return clips `[N, S]`: tones in noise, each of its own level, and the last one silent."""
    time_s = np.arange(card.clip.num_samples) / card.clip.sample_rate_hz
    clips = []
    for number in range(num_clips):
        rng = np.random.default_rng(number)
        tone = np.sin(2 * np.pi * 300 * 2**number * time_s) * rng.uniform(size=len(time_s)).cumsum()
        clips.append(tone / len(time_s) + 0.01 * rng.standard_normal(len(time_s)))
    clips[-1] = np.zeros(len(time_s))
    return np.stack(clips).astype(np.float32)


def probabilities(file: Location, card: ModelCard, clips: np.ndarray) -> np.ndarray:
    """Return the probabilities `[N, K]` of a classifier's file for clips `[N, S]`."""
    rate_hz = card.clip.sample_rate_hz
    spectrograms = np.stack([card.spectrogram(clip, rate_hz) for clip in clips])
    return predict_probabilities(load_model(file), Inputs(spectrograms))


@pytest.fixture(scope="session")
def short_model(tmp_path_factory: pytest.TempPathFactory) -> Location:
    """The file of a classifier of clips of a second at 16 kHz, one of whose classes is noise."""
    folder = tmp_path_factory.mktemp("short")
    return write_model(locate(folder / "best_model.keras"), background_label="noise")


@pytest.fixture(scope="session")
def tone_model(tmp_path_factory: pytest.TempPathFactory) -> Location:
    """The file of a classifier with the classes and the clips of `dataset_dir`."""
    folder = tmp_path_factory.mktemp("tones")
    return write_model(locate(folder / "best_model.keras"), RECIPE, classes=["high", "low"])
