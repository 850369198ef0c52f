"""The generator's file: safetensors that also carry all that generation needs."""

import json
from dataclasses import asdict, dataclass

import safetensors
from safetensors.torch import load, save

from freqquest.audio.spectrogram import SpectrogramConfig
from freqquest.cgan.networks import Generator
from freqquest.errors import UserError
from freqquest.runs.storage import Location

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
    except UserError:
        raise
    except (ValueError, KeyError, TypeError, RuntimeError, safetensors.SafetensorError) as error:
        raise UserError(f"--generator {place} is damaged, or no generator of jobs/train_cgan.py: {error}") from error
    return generator.eval(), card
