"""Make clips with a trained generator. Knows nothing of Ray.

Shapes: Z noise values.
"""

from collections.abc import Callable

import numpy as np
import torch

from freqquest.audio.files import encode_wav
from freqquest.audio.invert import invert
from freqquest.cgan.config import GenerateConfig
from freqquest.cgan.generate import GeneratedClip
from freqquest.cgan.generator_file import load_generator
from freqquest.errors import UserError
from freqquest.runs.storage import locate


def choose_labels(label: str, classes: list[str]) -> list[str]:
    """The classes asked for.

    Raises:
        UserError: The generator does not know the label.
    """
    if label == "all":
        return classes
    if label not in classes:
        raise UserError(f"--label {label} is not known to this generator; it makes {', '.join(classes)} (or all)")
    return [label]


def synthesise(config: GenerateConfig, on_clip: Callable[[int], None] = lambda _: None) -> list[GeneratedClip]:
    """Write WAV files of the classes asked for; the same seed writes the same files.

    Args:
        config: What to make.
        on_clip: Called after each clip with the number of clips done.

    Returns:
        The files, by class and index.

    Raises:
        UserError: The generator cannot be used, does not know the label, or a file of the name exists.
    """
    generator, card = load_generator(locate(config.generator))
    labels = choose_labels(config.label, card.classes)
    places = {
        (label, index): locate(config.output_dir) / f"{label}_{config.seed}_{index:03d}.wav"
        for label in labels
        for index in range(config.num_clips)
    }
    existing = [place for place in places.values() if place.exists()]
    if existing and not config.overwrite:
        raise UserError(f"{existing[0]} exists: choose another --output-dir or --seed, or --overwrite it")
    for done, ((label, index), place) in enumerate(places.items(), start=1):
        class_index = card.classes.index(label)
        noise = draw_noise(card.noise_dim, config.seed, class_index, index)
        with torch.no_grad():
            spectrogram = generator(noise, torch.tensor([class_index]))[:, 0]
        (waveform,) = invert(spectrogram, card.view, card.sample_rate_hz, seeds=[config.seed])
        place.write_bytes(encode_wav(waveform, card.sample_rate_hz))
        on_clip(done)
    return [GeneratedClip(label=label, path=str(place), name=place.name) for (label, _), place in places.items()]


def draw_noise(noise_dim: int, seed: int, class_index: int, index: int) -> torch.Tensor:
    """Noise `[1, Z]` of one clip, which does not depend on how many others are made."""
    source = np.random.default_rng([seed, class_index, index])
    return torch.from_numpy(source.standard_normal((1, noise_dim), dtype=np.float32))
