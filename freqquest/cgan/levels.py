"""Levels of clips, and the gains that bring generated clips to the level of real ones.

torch and NumPy; pyarrow where a dataset is read. Shapes: N clips, M mel bands, T frames, K classes.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from freqquest.cgan.generator import draw_noise
from freqquest.cgan.generator_file import TrainedGenerator
from freqquest.dataset.manifest import NOT_AUGMENTED, Manifest
from freqquest.dataset.read import SplitReader, read_rows
from freqquest.storage import Location

_MAX_REAL_CLIPS = 4_000
"""Training clips whose levels are measured, at most."""

_NUM_GENERATED = 64
"""Generated clips of each class whose levels are measured. If levels vary by 8 dB (standard
deviation), the median of so many is exact to 1.3 dB."""

_CLIPS_AT_ONCE = 32

_MAX_GAIN_DB = 12.0
"""Largest gain: a generator that needs more has not learned the class yet."""

_LOWEST_POWER = 1e-9
"""Power of silence."""


def levels_db(spectrograms: Tensor) -> Tensor:
    """Return the levels `[N]` of spectrograms `[N, M, T]`, ln(1 + power), in dB.

    Differences are those of the waveforms' root mean squares: on 1,155 clips of UrbanSound8K, both
    have a correlation of 0.999.
    """
    power = torch.expm1(spectrograms.float()).sum(dim=1).mean(dim=1)
    return 10 * power.clamp(min=_LOWEST_POWER).log10()


def median_levels_db(dataset: Location, manifest: Manifest) -> list[float]:
    """Return the median level `[K]` of each class's training clips, without augmented copies."""
    is_original = (
        read_rows(dataset, manifest, "train")["augmentation"] == NOT_AUGMENTED
    ).to_numpy()
    levels, labels, start = [], [], 0
    for shard in SplitReader(dataset, manifest, "train", "cgan").shards():
        rows = np.flatnonzero(is_original[start : start + len(shard.class_indices)])
        levels.append(levels_db(torch.from_numpy(shard.spectrograms[rows])).numpy())
        labels.append(shard.labels[rows])
        start += len(shard.class_indices)
        if sum(map(len, levels)) >= _MAX_REAL_CLIPS:
            break
    all_levels, all_labels = np.concatenate(levels), np.concatenate(labels)
    return [float(np.median(all_levels[is_member])) for is_member in all_labels.T]


def class_gains_db(
    generator: TrainedGenerator, wanted_db: Sequence[float], seed: int
) -> list[float]:
    """Return the gain `[K]` of each class that brings its median level to the wanted one.

    Args:
        generator: Generator without gains, on any device.
        wanted_db: Median levels `[K]` of `median_levels_db`.
        seed: Seed of the clips that are measured.
    """
    device = next(generator.network.parameters()).device
    gains = []
    for index, wanted in enumerate(wanted_db):
        levels = []
        for start in range(0, _NUM_GENERATED, _CLIPS_AT_ONCE):
            clips = [(index, start + number) for number in range(_CLIPS_AT_ONCE)]
            noise = draw_noise(generator.card.cgan_config.noise_dim, seed, clips).to(device)
            labels = torch.full((len(clips),), index, device=device)
            levels.append(levels_db(generator.spectrograms(noise, labels)).cpu())
        gain = wanted - float(np.median(torch.cat(levels).numpy()))
        gains.append(round(float(np.clip(gain, -_MAX_GAIN_DB, _MAX_GAIN_DB)), 3))
    return gains
