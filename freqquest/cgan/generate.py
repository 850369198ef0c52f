"""Make clips with a trained generator, and its file: safetensors that also carry all that generation needs.

Shapes: K classes, Z noise values, M mel bands, T frames, S samples.
"""

import json
from dataclasses import asdict, dataclass

import numpy as np
import safetensors
import torch
from safetensors.torch import load, save

from freqquest.audio.files import encode_wav
from freqquest.audio.invert import invert
from freqquest.audio.spectrogram import SpectrogramConfig
from freqquest.cgan.config import GenerateConfig
from freqquest.cgan.networks import Generator
from freqquest.errors import UserError
from freqquest.runs.progress import Progress
from freqquest.runs.storage import Location, locate

_CARD_NAME = "freqquest"
_CARD_VERSION = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class GeneratorCard:
    """What a generator makes; stored in its file's header."""

    classes: list[str]
    sample_rate_hz: int
    view: SpectrogramConfig
    noise_dim: int
    preset: str
    epochs: int
    dataset_sha256: str
    version: int = _CARD_VERSION


def save_generator(generator: Generator, card: GeneratorCard, place: Location) -> None:
    """Write weights and card as one file."""
    weights = {name: value.contiguous().cpu() for name, value in generator.state_dict().items()}
    place.write_bytes(save(weights, {_CARD_NAME: json.dumps(asdict(card))}))


def load_generator(place: Location) -> tuple[Generator, GeneratorCard]:
    """The generator, ready for use.

    Raises:
        UserError: The file is missing, damaged, no generator, or of another version.
    """
    if not place.is_file():
        raise UserError(f"--generator {place} does not exist: jobs/train_cgan.py makes generator.safetensors")
    content = place.read_bytes()
    try:
        header_size = int.from_bytes(content[:8], "little")
        text = json.loads(content[8 : 8 + header_size])["__metadata__"][_CARD_NAME]
        fields = json.loads(text)
        if fields["version"] != _CARD_VERSION:
            raise UserError(
                f"--generator {place} is of version {fields['version']}; this freqquest reads {_CARD_VERSION}"
            )
        card = GeneratorCard(**fields | {"view": SpectrogramConfig(**fields["view"])})
        generator = Generator(len(card.classes), card.noise_dim)
        generator.load_state_dict(load(content))
    except (ValueError, KeyError, TypeError, RuntimeError, safetensors.SafetensorError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"--generator {place} is damaged, or no generator of jobs/train_cgan.py: {error}") from error
    return generator.eval(), card


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


@dataclass(frozen=True, kw_only=True, slots=True)
class GeneratedClip:
    """A WAV file and the class it was made for."""

    label: str
    path: str
    name: str


def generate_clips(config: GenerateConfig) -> list[GeneratedClip]:
    """Write WAV files of the classes asked for; the same seed writes the same files.

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
    with Progress("generate", len(places), "clips") as progress:
        for (label, index), place in places.items():
            class_index = card.classes.index(label)
            noise = draw_noise(card.noise_dim, config.seed, class_index, index)
            with torch.no_grad():
                spectrogram = generator(noise, torch.tensor([class_index]))[0, 0].numpy()
            waveform = invert(spectrogram, card.view, card.sample_rate_hz, seed=config.seed)
            place.write_bytes(encode_wav(waveform, card.sample_rate_hz))
            progress.update(1)
    return [GeneratedClip(label=label, path=str(place), name=place.name) for (label, _), place in places.items()]


def draw_noise(noise_dim: int, seed: int, class_index: int, index: int) -> torch.Tensor:
    """Noise `[1, Z]` of one clip, which does not depend on how many others are made."""
    source = np.random.default_rng([seed, class_index, index])
    return torch.from_numpy(source.standard_normal((1, noise_dim), dtype=np.float32))
