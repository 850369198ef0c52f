"""From the bytes of an audio file to an answer: classes of its windows, and events.

Both come from the windows that the detect job listens to. No Ray; Keras comes with the model.
Shapes: N windows, K classes, M mel bands, T frames.
"""

import base64
import io
import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from freqquest.cnn.model_card import ModelCard
from freqquest.cnn.model_file import read_card
from freqquest.dataset.clip_inputs import Analysis, Inputs
from freqquest.dataset.load_clip import measure_file
from freqquest.dataset.windows import WindowConfig
from freqquest.detection.config import DetectConfig
from freqquest.detection.event_files import frequency_range
from freqquest.detection.events import EventSettings, event_settings, find_events
from freqquest.detection.frames import with_floor
from freqquest.detection.grid import Grid
from freqquest.detection.listen import Heard, Predict, listen
from freqquest.detection.parts import join
from freqquest.errors import UserError
from freqquest.plots import png, spectrogram_image
from freqquest.storage import Location

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_LEAST_S = 0.001
"""Length of shorter files: answers are rounded to it, and a length of 0 has no picture."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Hearing:
    """All that answers depend on, beside the network's weights."""

    card: ModelCard
    grid: Grid
    analysis: Analysis
    events: EventSettings


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """Answer to a request."""

    content: bytes
    """JSON."""
    duration_s: float
    """Length of the recording."""
    num_windows: int
    """Windows that went through the network."""


def hearing_of(model_file: Location) -> Hearing:
    """Read what a model hears, with the defaults of the detect job. Loads no Keras.

    Raises:
        UserError: The model cannot be used.
    """
    card = read_card(model_file)
    defaults = DetectConfig(model=str(model_file), audio_dir="uploads", output="events.json")
    try:
        grid = Grid(clip=card.clip, view=card.view, hop_s=defaults.hop)
    except ValueError as error:
        raise UserError(f"`model={model_file}`: {error}") from error
    return Hearing(
        card=card,
        grid=grid,
        analysis=card.analysis(model_file),
        events=event_settings(defaults, card),
    )


class Upload(io.BytesIO):
    """A file in memory that can be read for a limited time only: decoders end with it."""

    def __init__(self, content: bytes, time_limit_s: float) -> None:
        """Open the file.

        Args:
            content: Bytes of the file.
            time_limit_s: Time from now on in which it can be read.
        """
        super().__init__(content)
        self._until = time.monotonic() + time_limit_s

    def cancel(self) -> None:
        """End the time now."""
        self._until = 0.0

    def check_time(self) -> None:
        """Raise TimeoutError if the time is over."""
        if time.monotonic() > self._until:
            raise TimeoutError("the time of the request is over")

    def readinto(self, buffer: "WriteableBuffer") -> int:
        """Read bytes, as long as there is time."""
        self.check_time()
        return super().readinto(buffer)


def answer(
    upload: Upload, hearing: Hearing, predict: Predict, *, with_spectrogram: bool = False
) -> Answer:
    """Classify an audio file, and find its events.

    Args:
        upload: The file.
        hearing: What to hear.
        predict: The network.
        with_spectrogram: Add a picture of the file.

    Raises:
        UnreadableClipError: The file is not audio, or it is corrupt.
        TimeoutError: The time is over.
    """

    def predict_in_time(inputs: Inputs) -> np.ndarray:
        upload.check_time()
        return predict(inputs)

    card, grid = hearing.card, hearing.grid
    measured_s, _ = measure_file(upload, WindowConfig())
    duration_s = max(measured_s, _LEAST_S)
    units = range(grid.num_units(duration_s))
    heard = join(list(listen(upload, duration_s, units, grid, predict_in_time, hearing.analysis)))
    mean = heard.probabilities.mean(axis=0, dtype=np.float32)
    (label,), (probability,) = card.predict(mean[None])
    content: dict[str, object] = {
        "duration_s": round(duration_s, 3),
        "label": label,
        "probability": _round(probability),
        "probabilities": _by_class(card, mean),
        "windows": _windows(heard, duration_s, hearing),
        "events": _events(heard, duration_s, hearing),
    }
    if with_spectrogram:
        content["spectrogram"] = _spectrogram(heard, card)
    return Answer(
        content=json.dumps(content, allow_nan=False).encode(),
        duration_s=duration_s,
        num_windows=len(heard.probabilities),
    )


def _windows(heard: Heard, duration_s: float, hearing: Hearing) -> list[dict[str, object]]:
    card, grid = hearing.card, hearing.grid
    starts_s = (grid.starts(0, len(heard.probabilities)) * grid.frame_s).tolist()
    return [
        {
            "start_s": round(start_s, 3),
            "end_s": round(min(start_s + card.clip.duration_s, duration_s), 3),
            "probabilities": _by_class(card, probabilities),
        }
        for start_s, probabilities in zip(starts_s, heard.probabilities, strict=True)
    ]


def _events(heard: Heard, duration_s: float, hearing: Hearing) -> list[dict[str, object]]:
    """Return the events, rounded as the detect job writes them."""
    return [
        {
            "start_s": round(start_s, 3),
            "end_s": round(end_s, 3),
            "label": label,
            "confidence": round(confidence, 4),
        }
        for _, start_s, end_s, label, confidence in find_events(
            "", duration_s, heard, hearing.grid, hearing.events
        )
    ]


def _by_class(card: ModelCard, probabilities: np.ndarray) -> dict[str, float]:
    return dict(zip(card.classes, map(_round, probabilities), strict=True))


def _round(probability: float) -> float:
    """Return a probability as the predict job writes it."""
    return round(float(probability), 6)


def _spectrogram(heard: Heard, card: ModelCard) -> dict[str, object]:
    picture = png(spectrogram_image(with_floor(heard.columns)))
    low_hz, high_hz = frequency_range(card.view, card.clip.sample_rate_hz)
    return {
        "png": base64.b64encode(picture).decode(),
        "min_frequency_hz": low_hz,
        "max_frequency_hz": high_hz,
        "mel": True,
    }
