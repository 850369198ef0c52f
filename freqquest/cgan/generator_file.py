"""The generator's file: safetensors that also carry all that generation needs."""

import json
from dataclasses import asdict, dataclass

import safetensors
import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from freqquest.audio.spectrogram import SpectrogramConfig
from freqquest.cgan.config import CganConfig
from freqquest.cgan.images import ImageScale
from freqquest.cgan.networks.build import build_generator
from freqquest.errors import UserError
from freqquest.storage import Location

_CARD_NAME = "freqquest"
_CARD_VERSION = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class GeneratorCard:
    """What a generator makes; stored in its file's header."""

    classes: list[str]
    sample_rate_hz: int
    view: SpectrogramConfig
    scale: ImageScale
    cgan_config: CganConfig
    preset: str
    epochs: int
    """Passes over the training clips behind it."""
    dataset_sha256: str
    version: int = _CARD_VERSION

    def __post_init__(self) -> None:
        for label in self.classes:
            if not label or label.startswith(".") or set(label) & set("/\\\0"):
                raise ValueError(f"class {label!r} cannot be part of a file name")


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainedGenerator:
    """A generator ready for use, and its card."""

    network: nn.Module
    card: GeneratorCard

    @torch.no_grad()
    def spectrograms(self, noise: Tensor, labels: Tensor) -> Tensor:
        """Noise `[B, Z]` and class indices `[B]` to spectrograms `[B, M, T]`, ln(1 + power), float32."""
        return self.card.scale.decode(self.network(noise, labels))


def save_generator(weights: dict[str, Tensor], card: GeneratorCard, place: Location) -> None:
    """Write weights and card as one file."""
    content = {name: value.contiguous().cpu() for name, value in weights.items()}
    place.write_bytes(save(content, {_CARD_NAME: json.dumps(asdict(card))}))


def load_generator(place: Location) -> TrainedGenerator:
    """The generator, on the CPU.

    Raises:
        UserError: The file is missing, damaged, no generator, or of another version.
    """
    if not place.is_file():
        problem = "is a folder" if place.exists() else "does not exist"
        raise UserError(
            f"--generator {place} {problem}: give the generator.safetensors that jobs/train_cgan.py made"
        )
    content = place.read_bytes()
    try:
        card = _read_card(content, place)
        with torch.device("meta"):  # takes no memory: a card may ask for any size
            network = build_generator(card.cgan_config, len(card.classes), card.scale)
        network.load_state_dict(load(content), assign=True)
    except UserError:
        raise
    except (ValueError, KeyError, TypeError, RuntimeError, safetensors.SafetensorError) as error:
        # Of bytes that are no text there is nothing to tell; torch tells of each weight in a line.
        lines = (
            []
            if isinstance(error, json.JSONDecodeError | UnicodeDecodeError)
            else str(error).splitlines()
        )
        detail = f" ({lines[-1].strip()})" if lines else ""
        raise UserError(
            f"--generator {place} is damaged, or no generator{detail}: give the generator.safetensors that "
            "jobs/train_cgan.py made"
        ) from error
    return TrainedGenerator(network=network.eval(), card=card)


def _read_card(content: bytes, place: Location) -> GeneratorCard:
    header_size = int.from_bytes(content[:8], "little")
    fields = json.loads(json.loads(content[8 : 8 + header_size])["__metadata__"][_CARD_NAME])
    if fields["version"] != _CARD_VERSION:
        raise UserError(
            f"--generator {place} is of version {fields['version']}; this freqquest reads {_CARD_VERSION}"
        )
    cgan_config = fields["cgan_config"] | {
        "adam_betas": tuple(fields["cgan_config"]["adam_betas"])
    }  # JSON has lists only
    parts = {
        "view": SpectrogramConfig(**fields["view"]),
        "scale": ImageScale(**fields["scale"]),
        "cgan_config": CganConfig(**cgan_config),
    }
    return GeneratorCard(**fields | parts)
