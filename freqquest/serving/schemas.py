"""JSON of the service's answers, for its OpenAPI description. No Ray."""

from pydantic import BaseModel, Field


class Window(BaseModel):
    """A part of the file that was classified."""

    start_s: float
    end_s: float
    probabilities: dict[str, float]


class Event(BaseModel):
    """A sound in the file, as the detect job finds it with its defaults."""

    start_s: float
    end_s: float
    label: str
    confidence: float


class Spectrogram(BaseModel):
    """A picture of the whole file."""

    png: str = Field(description="PNG in base64: time from left to right, high frequencies on top")
    min_frequency_hz: float
    max_frequency_hz: float
    mel: bool = Field(description="True: the frequency axis is in mel")


class Classified(BaseModel):
    """Answer for a file, as the predict job gives it, and its events."""

    duration_s: float
    label: str = Field(description="The most probable class, or several joined by semicolons")
    probability: float
    probabilities: dict[str, float] = Field(description="Mean of the windows, by class")
    windows: list[Window]
    events: list[Event]
    spectrogram: Spectrogram | None = Field(default=None, description="Only if asked for")


class Model(BaseModel):
    """The model, and the limits of the service."""

    classes: list[str]
    background_label: str | None = Field(description="Class that is never an answer")
    window_s: float
    sample_rate_hz: int
    several_labels: bool
    max_bytes: int = Field(description="Largest upload")
    time_limit_s: float = Field(description="Longest time from a request's start to its answer")
    version: str = Field(description="Version of freqquest")


class Health(BaseModel):
    """A service that answers."""

    status: str


class Error(BaseModel):
    """An error in one word and one sentence."""

    code: str
    message: str


class ErrorAnswer(BaseModel):
    """Answer of every error."""

    error: Error
