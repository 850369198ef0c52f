"""Generator files: safetensors whose header holds everything that generation needs.

torch and safetensors only; contents are bytes, so that any storage serves. A file holds no code.
Shapes: B clips, Z noise values, M mel bands, T frames.
"""

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from freqquest.audio.spectrogram import SpectrogramConfig
from freqquest.cgan.config import CganConfig
from freqquest.cgan.generator_path import FIX, require_file
from freqquest.cgan.images import ImageScale, read_scale
from freqquest.cgan.networks.build import build_generator
from freqquest.choices import check_types
from freqquest.errors import UserError

if TYPE_CHECKING:
    from freqquest.storage import Location

_CARD_NAME = "freqquest"
"""Key of the card in the header's metadata."""

_CARD_VERSION = 6
"""Earlier versions are read too: 5, whose networks never have `overlapping` squares; 4, which has
no `gains_db`; 3, which has neither `num_samples` nor
`image_mels` of the scale; and 2, which named the configuration `networks`, and its architecture
likewise."""

_RENAMED_WEIGHTS = ".normalise.", ".normalize."
"""Part of the weights' names in version 2, and its replacement since version 3."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GeneratorCard:
    """Description of a generator, stored in its file's header."""

    classes: list[str]
    """Class names, in order of the class indices."""
    sample_rate_hz: int
    """Sample rate of the generated clips."""
    num_samples: int | None = None
    """Length of the generated clips; None for that between the centers of the first and the last
    frame, as in the recipe's view, and in files before version 4."""
    view: SpectrogramConfig
    """Analysis whose spectrograms the generator imitates."""
    scale: ImageScale
    """Scale of the network's images."""
    cgan_config: CganConfig
    """Networks and optimization."""
    preset: str
    """Name of the preset."""
    epochs: int
    """Number of training epochs."""
    dataset_sha256: str
    """Hash of the training dataset's content."""
    gains_db: list[float] | None = None
    """Gain of each class, which brings its clips to the level of the training clips; None in the
    recipe and in files before version 5."""
    version: int = _CARD_VERSION
    """Version of the card's format."""

    def __post_init__(self) -> None:
        for label in self.classes:
            if not label or label.startswith(".") or set(label) & set("/\\\0"):
                raise ValueError(f"class {label!r} cannot be part of a file name")


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainedGenerator:
    """Network of a generator file, ready for use, and its card."""

    network: nn.Module
    card: GeneratorCard

    @torch.no_grad()
    def spectrograms(self, noise: Tensor, labels: Tensor, shifts: Tensor | None = None) -> Tensor:
        """Return spectrograms `[B, M, T]`, ln(1 + power), float32.

        Args:
            noise: `[B, Z]`.
            labels: Class indices `[B]`.
            shifts: Frames `[B]` of `draw_timing`; None for the timing of the network.
        """
        return self.decode(self.network(noise, labels), labels, shifts)

    def decode(self, images: Tensor, labels: Tensor, shifts: Tensor | None = None) -> Tensor:
        """Convert the network's images `[B, 1, H, W]` to spectrograms `[B, M, T]`."""
        spectrograms = self.card.scale.decode(images, shifts)
        if self.card.gains_db is None:
            return spectrograms
        gains = 10 ** (torch.tensor(self.card.gains_db, device=labels.device)[labels] / 10)
        return torch.log1p(torch.expm1(spectrograms) * gains[:, None, None])


def generator_bytes(weights: dict[str, Tensor], card: GeneratorCard) -> bytes:
    """Return the content of a generator file."""
    tensors = {name: value.contiguous().cpu() for name, value in weights.items()}
    content: bytes = save(tensors, {_CARD_NAME: json.dumps(asdict(card))})
    return content


def load_generator(file: "Location", parameter: str) -> TrainedGenerator:
    """Load a generator file, on the CPU.

    Args:
        file: generator.safetensors of a train_cgan run.
        parameter: Name of the parameter that gave the path, for error messages.

    Raises:
        UserError: The file is missing, corrupt, not a generator, or of another version.
    """
    require_file(file, parameter)
    source = f"`{parameter}={file}`"
    return read_generator(file.read_bytes(), source)


def read_generator(content: bytes, source: str = "the generator") -> TrainedGenerator:
    """Return the generator of a file's content, on the CPU.

    Args:
        content: Content of the file.
        source: Name of the file, for errors.

    Raises:
        UserError: The content is corrupt, not a generator file, or of another version.
    """
    try:
        card = _read_card(content, source)
        with torch.device("meta"):  # takes no memory, whatever size the card claims
            network = build_generator(card.cgan_config, len(card.classes), card.scale)
        weights = {name.replace(*_RENAMED_WEIGHTS): value for name, value in load(content).items()}
        network.load_state_dict(weights, assign=True)
    except UserError:
        raise
    except Exception as error:  # a damaged file may raise any
        problem = f"is not a readable generator file{_detail(error)}"
        raise UserError(f"{source} {problem}: {FIX}") from error
    return TrainedGenerator(network=network.eval(), card=card)


def _detail(error: Exception) -> str:
    """Return the last line of an error, as torch lists each weight in a line."""
    if isinstance(error, json.JSONDecodeError | UnicodeDecodeError):
        return ""  # these only say that bytes are not text
    lines = str(error).splitlines()
    return f" ({lines[-1].strip()})" if lines else ""


def _read_card(content: bytes, source: str) -> GeneratorCard:
    header_size = int.from_bytes(content[:8], "little")
    fields = json.loads(json.loads(content[8 : 8 + header_size])["__metadata__"][_CARD_NAME])
    if fields["version"] == 2:
        fields = _from_version_2(fields)
    if fields["version"] not in (3, 4, 5, _CARD_VERSION):
        raise UserError(
            f"{source} has version {fields['version']}, but this freqquest reads 2 to "
            f"{_CARD_VERSION}: train again, or use the freqquest that made it"
        )
    cgan_config = {"overlapping": False} | fields["cgan_config"]
    cgan_config["adam_betas"] = tuple(cgan_config["adam_betas"])  # JSON has only lists
    parts = {
        "view": SpectrogramConfig(**fields["view"]),
        "scale": read_scale(fields["scale"]),
        "cgan_config": CganConfig(**cgan_config),
    }
    card = GeneratorCard(**fields | parts | {"version": _CARD_VERSION})
    check_types(card, GeneratorCard)
    return card


def _from_version_2(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a card of version 2 with the names of version 3."""
    fields = dict(fields)
    cgan_config = dict(fields.pop("networks"))
    cgan_config["architecture"] = cgan_config.pop("networks")
    return fields | {"cgan_config": cgan_config, "version": 3}
