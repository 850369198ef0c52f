"""Settings of the detect stage. Light to import, because `--help` reads them."""

import math
import posixpath
from dataclasses import dataclass
from typing import Literal

from freqquest.choices import check_choices
from freqquest.cluster.requirements import Requirements
from freqquest.dataset.quarantine import check_quarantined_fraction

EventFormat = Literal["csv", "json", "audacity", "raven"]

_SHORTEST_HOP_S = 0.01


@dataclass(frozen=True, kw_only=True, slots=True)
class DetectConfig:
    """Find the sounds in long recordings."""

    model: str
    """Classifier: best_model.keras of a run. It carries its classes and spectrogram settings."""

    audio_dir: str
    """Folder of recordings of any length."""

    output: str
    """File of all events, ending in .csv or .json, or a folder that gets a file for each recording.
    Audacity's and Raven's files are always in a folder."""

    format: EventFormat | None = None
    """Format of the events: a CSV with the columns path, start_s, end_s, label and confidence, the
    same as JSON, Audacity label files or Raven selection tables. Default: by the ending of
    `output`, or csv."""

    annotations: str | None = None
    """True sounds, with which the events are compared: a CSV with the columns path, start_s, end_s
    and label, or a folder of Audacity label files or Raven selection tables."""

    report: str | None = None
    """HTML file to write: the spectrogram of each recording with its events, and a player that
    jumps to them."""

    max_reported: int = 50
    """Largest number of recordings in `report`, those with events first."""

    hop: float = 1.0
    """Step between the starts of two windows, in seconds. A window is as long as a training
    clip."""

    min_confidence: float | None = None
    """Probability from which a class is heard, for all classes. Default: each class's own, which
    the search chose on held-out clips, or 0.5 in models that predate them."""

    min_level: float = -60.0
    """Level below which nothing is heard, in dB relative to full scale: louder moments of a
    recording are searched for events only."""

    merge_gap: float = 1.0
    """Longest gap between two events of a class that become one, in seconds."""

    min_duration: float = 0.0
    """Shortest event that is kept, in seconds."""

    piece_length: float = 600.0
    """Length of the parts of long recordings that tasks work on, in seconds. It changes no
    event."""

    max_quarantined_fraction: float = 0.05
    """Fraction of unreadable recordings above which the job stops without an output. One unreadable
    recording is always allowed unless this is 0."""

    use_gpu: bool = False
    """Compute on GPUs. Decoding takes longer than the network, so this rarely saves time."""

    overwrite: bool = False
    """Replace existing output."""

    def __post_init__(self) -> None:
        check_choices(self)
        check_quarantined_fraction(self.max_quarantined_fraction)
