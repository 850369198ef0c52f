"""Make clips with a trained generator. Knows nothing of Ray.

Shapes: B clips, Z noise values, S samples.
"""

import itertools
from collections.abc import Callable, Collection, Sequence

import numpy as np
import torch

from freqquest.audio.decode import encode_wav
from freqquest.audio.invert import invert
from freqquest.cgan.config import GenerateConfig
from freqquest.cgan.generator_file import GeneratorCard, TrainedGenerator, load_generator
from freqquest.cgan.train_job import GeneratedClip
from freqquest.errors import UserError
from freqquest.storage import locate

_CLIPS_AT_ONCE = 16


def choose_labels(label: str, classes: list[str]) -> list[str]:
    """The classes asked for.

    Raises:
        UserError: The generator does not know the label.
    """
    if label == "all":
        return classes
    if label not in classes:
        raise UserError(
            f"--label {label} is not known to this generator; it makes {', '.join(classes)} (or all)"
        )
    return [label]


def synthesize(
    config: GenerateConfig,
    taken: Collection[str] = (),
    on_clip: Callable[[int], None] = lambda _: None,
) -> list[GeneratedClip]:
    """Write WAV files of the classes asked for; the same seed writes the same files.

    Args:
        config: What to make.
        taken: Names in the output folder that stay as they are, unless the settings say otherwise.
        on_clip: Called now and then with the number of clips done.

    Returns:
        The files, by class and index.

    Raises:
        UserError: The generator cannot be used, does not know the label, or the output folder cannot take its files.
    """
    folder = locate(config.output_dir)
    if folder.exists() and not folder.is_dir():
        raise UserError(f"--output-dir {folder} is a file: give a folder")
    generator = load_generator(locate(config.generator))
    classes = generator.card.classes
    asked = list(itertools.product(choose_labels(config.label, classes), range(config.num_clips)))
    places = [folder / f"{label}_{config.seed}_{index:03d}.wav" for label, index in asked]
    existing = [place for place in places if place.name in taken]
    if existing and not config.overwrite:
        raise UserError(
            f"{existing[0]} exists: choose another --output-dir or --seed, or --overwrite it"
        )
    device = torch.device("cuda" if config.use_gpu else "cpu")
    generator.network.to(device)
    on_clip(0)
    for start in range(0, len(asked), _CLIPS_AT_ONCE):
        batch = [
            (classes.index(label), index) for label, index in asked[start : start + _CLIPS_AT_ONCE]
        ]
        waveforms = _make(generator, batch, config.seed, device)
        for place, waveform in zip(places[start:], waveforms, strict=False):
            place.write_bytes(encode_wav(waveform, generator.card.sample_rate_hz))
        on_clip(start + len(batch))
    return [
        GeneratedClip(label=label, path=str(place), name=place.name)
        for (label, _), place in zip(asked, places, strict=True)
    ]


def draw_noise(noise_dim: int, seed: int, clips: Sequence[tuple[int, int]]) -> torch.Tensor:
    """Noise `[B, Z]` of clips given by class and index; each clip's does not depend on the others."""
    sources = [np.random.default_rng([seed, *clip]) for clip in clips]
    return torch.from_numpy(
        np.stack([source.standard_normal(noise_dim, dtype=np.float32) for source in sources])
    )


def to_sound(
    spectrograms: torch.Tensor,
    card: GeneratorCard,
    seed: int,
    clips: Sequence[tuple[int, int]],
    device: torch.device,
) -> np.ndarray:
    """Waveforms `[B, S]` of a generator's spectrograms `[B, M, T]`, of clips given by class and index."""
    return invert(
        spectrograms[..., : card.scale.audible_frames],
        card.view,
        card.sample_rate_hz,
        seeds=[int(np.random.default_rng([seed, *clip, 1]).integers(2**31)) for clip in clips],
        method=card.cgan_config.inversion,
        device=device,
    )


def _make(
    generator: TrainedGenerator, clips: Sequence[tuple[int, int]], seed: int, device: torch.device
) -> np.ndarray:
    """Waveforms `[B, S]` of clips given by class and index."""
    noise = draw_noise(generator.card.cgan_config.noise_dim, seed, clips).to(device)
    labels = torch.tensor([class_index for class_index, _ in clips], device=device)
    return to_sound(generator.spectrograms(noise, labels), generator.card, seed, clips, device)
