"""Generation of clips: noise to spectrograms to waveforms.

torch, NumPy, SciPy and safetensors only; pyarrow where a path is read, torchaudio for generators of
the recipe. Shapes: N clips, Z noise values, M mel bands, T frames, S samples.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import Tensor

from freqquest.audio.invert import invert
from freqquest.cgan.generator_file import GeneratorCard, TrainedGenerator, load_generator
from freqquest.cgan.timing import draw_shifts
from freqquest.errors import UserError

CLIPS_AT_ONCE = 16
"""Clips that are computed together. Another number gives other rounding."""

GPU_CLIPS_AT_ONCE = 64
"""The same on a GPU, which 16 clips do not keep busy."""

ClipKey = tuple[int, int]
"""Class index of a clip, and its number in the class; with a seed, they determine its noise and
timing."""


class Generator:
    """A trained generator of new clips.

    ```python
    generator = Generator.load("generator.safetensors")
    waveforms = generator.generate("siren", num_clips=4, seed=0)  # [4, S]
    soundfile.write("siren.wav", waveforms[0], generator.sample_rate_hz)
    ```
    """

    def __init__(self, trained: TrainedGenerator, device: torch.device | str = "cpu") -> None:
        """Move a generator (of `load_generator`) to a device."""
        self._trained, self._card = trained, trained.card
        self._device = torch.device(device)
        trained.network.to(self._device)

    @classmethod
    def load(cls, path: str | Path, device: torch.device | str = "cpu") -> Self:
        """Load a generator file.

        Args:
            path: Path or URI of the generator.safetensors of a train_cgan run.
            device: Device to compute on.

        Raises:
            UserError: The file is missing, corrupt, not a generator, or of another version.
        """
        from freqquest.storage import locate  # pyarrow, which generation itself does without

        return cls(load_generator(locate(path), "path"), device)

    @property
    def classes(self) -> list[str]:
        """Names of the classes."""
        return list(self._card.classes)

    @property
    def clips_at_once(self) -> int:
        """Number of clips that its device computes together."""
        return CLIPS_AT_ONCE if self._device.type == "cpu" else GPU_CLIPS_AT_ONCE

    @property
    def sample_rate_hz(self) -> int:
        """Sample rate of the waveforms."""
        return self._card.sample_rate_hz

    @property
    def duration_s(self) -> float:
        """Length of the waveforms."""
        between_frames = (self._card.scale.audible_frames - 1) * self._card.view.hop_length
        return (self._card.num_samples or between_frames) / self._card.sample_rate_hz

    def generate(self, label: str, num_clips: int = 8, seed: int = 0) -> np.ndarray:
        """Return new clips of a class.

        The generate job writes the same clips for the same seed, within rounding: another number of
        clips computed together changes samples by a few steps of 16 bits.

        Args:
            label: One of `classes`.
            num_clips: N.
            seed: Seed of the noise; the same seed gives the same clips, within rounding.

        Returns:
            Waveforms `[N, S]`, float32, full scale 1.0, as long as the dataset's clips; with the
            recipe's spectrograms, the length is that between their first and last frame.

        Raises:
            UserError: The label is unknown, or a number is out of range.
        """
        if label not in self._card.classes:
            raise UserError(f"`label={label}` must be one of: {', '.join(self._card.classes)}")
        if num_clips < 1:
            raise UserError(f"`num_clips={num_clips}` must be 1 or more")
        if seed < 0:
            raise UserError(f"`seed={seed}` must be 0 or more")
        clips = [(self._card.classes.index(label), number) for number in range(num_clips)]
        chunks = [
            self.generate_clips(clips[start : start + self.clips_at_once], seed)
            for start in range(0, num_clips, self.clips_at_once)
        ]
        return np.concatenate(chunks)

    def generate_clips(self, clips: Sequence[ClipKey], seed: int) -> np.ndarray:
        """Return the waveforms `[N, S]` of some clips, computed together."""
        noise = draw_noise(self._card.cgan_config.noise_dim, seed, clips).to(self._device)
        labels = torch.tensor([class_index for class_index, _ in clips], device=self._device)
        shifts = draw_timing(self._card, seed, clips)
        if shifts is not None:
            shifts = shifts.to(self._device)
        spectrograms = self._trained.spectrograms(noise, labels, shifts)
        return to_waveforms(spectrograms, self._card, seed, clips, self._device)


def draw_noise(noise_dim: int, seed: int, clips: Sequence[ClipKey]) -> Tensor:
    """Return the noise `[N, Z]` of some clips; none depends on the others."""
    rngs = [np.random.default_rng([seed, *clip]) for clip in clips]
    return torch.from_numpy(
        np.stack([rng.standard_normal(noise_dim, dtype=np.float32) for rng in rngs])
    )


def draw_timing(card: GeneratorCard, seed: int, clips: Sequence[ClipKey]) -> Tensor | None:
    """Return the frames `[N]` by which clips are rotated, or None if their timing was learned."""
    if not card.cgan_config.augment:
        return None
    return draw_shifts(seed, clips, card.scale.filled_frames)


def to_waveforms(
    spectrograms: Tensor,
    card: GeneratorCard,
    seed: int,
    clips: Sequence[ClipKey],
    device: torch.device,
) -> np.ndarray:
    """Return the waveforms `[N, S]` of a generator's spectrograms `[N, M, T]`."""
    audible = spectrograms[..., : card.scale.audible_frames]
    if card.num_samples is not None:
        # The clip ends less than a hop after the center of its last frame.
        audible = torch.cat([audible, audible[..., -1:]], dim=-1)
    waveforms = invert(
        audible,
        card.view,
        card.sample_rate_hz,
        seeds=[int(np.random.default_rng([seed, *clip, 1]).integers(2**31)) for clip in clips],
        method="reference" if card.cgan_config.inversion == "recipe" else "default",
        device=device,
    )
    return waveforms[:, : card.num_samples]
