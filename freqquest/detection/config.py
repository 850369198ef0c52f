"""Settings of the detect stage. Light to import, because `--help` reads them."""

import math
import posixpath
from dataclasses import dataclass
from typing import Literal

from freqquest.choices import check_choices
from freqquest.cluster.requirements import Requirements
from freqquest.dataset.quarantine import check_quarantined_fraction

EventFormat = Literal["csv", "json", "audacity", "raven"]

DEFAULT_CONFIDENCE = 0.5
"""Score from which a class is detected by models of one label a clip: better than thresholds chosen
on clips (see the kept benchmark of events)."""

_SHORTEST_HOP_S, _LONGEST_HOP_S = 0.01, 300.0

_OTHER_ENDINGS = (".txt", ".tsv", ".tab", ".xlsx", ".htm", ".html", ".xml")
"""Endings of files that are written in no format: a folder has none of these."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DetectConfig:
    """Find the sounds in long recordings."""

    model: str
    """Classifier: best_model.keras of a run. It carries its classes and spectrogram settings."""

    audio_dir: str
    """Folder of recordings of any length, or a single recording."""

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
    """Largest number of recordings in `report`, those with most events first."""

    picture_dir: str | None = None
    """Folder for a picture of each recording: its spectrogram with the events over it, as PNG."""

    hop: float = 1.0
    """Step between the starts of two windows, in seconds. A window is as long as a training clip;
    a longer step leaves out the sound between."""

    min_confidence: float | None = None
    """Score from which a class is detected, for all classes. Default: 0.5, or each class's own
    threshold if the model gives clips several labels."""

    class_thresholds: bool = False
    """Use the model's thresholds instead: one for each class, chosen on held-out clips and on
    generated noise and silence. 0.5 was better in our measurements."""

    min_level: float = -60.0
    """Level below which nothing is detected, in dB relative to full scale."""

    min_contrast: float = 8.0
    """Level above the background below which nothing is detected, in dB. The background is the
    level that is exceeded nine tenths of the time, in the ten minutes around a moment. Use 0 for
    sounds that last as long. It does not apply to a recording that never stands out."""

    merge_gap: float = 0.0
    """Longest gap between two events of a class that become one, in seconds."""

    min_duration: float = 0.25
    """Shortest event that is kept, in seconds."""

    piece_length: float | None = None
    """Length of the pieces of long recordings that tasks work on, in seconds. It changes no event.
    Default: up to ten minutes, and shorter where there are more cores."""

    max_quarantined_fraction: float = 0.05
    """Fraction of unreadable recordings above which the job stops without an output. One unreadable
    recording is always allowed unless this is 0."""

    keep_parts: bool = False
    """Keep what was heard beside the output, so that the same command with other thresholds or
    another format, and `overwrite`, takes seconds."""

    use_gpu: bool = False
    """Compute on GPUs. Decoding takes longer than the network, so this rarely saves time."""

    overwrite: bool = False
    """Replace existing output."""

    def __post_init__(self) -> None:
        check_choices(self)
        check_quarantined_fraction(self.max_quarantined_fraction)
        if not _SHORTEST_HOP_S <= self.hop <= _LONGEST_HOP_S:
            raise ValueError(
                f"`hop={self.hop:g}` must be from {_SHORTEST_HOP_S} to {_LONGEST_HOP_S:g} seconds"
            )
        if self.min_confidence is not None and not 0 <= self.min_confidence <= 1:
            raise ValueError(f"`min_confidence={self.min_confidence:g}` must be from 0 to 1")
        for name in ("min_contrast", "merge_gap", "min_duration", "max_reported"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"`{name}={getattr(self, name):g}` must be 0 or more")
        if not -math.inf < self.min_level <= 0:
            raise ValueError(f"`min_level={self.min_level:g}` must be 0 dB, full scale, or less")
        if self.piece_length is not None and not 0 < self.piece_length < math.inf:
            raise ValueError(f"`piece_length={self.piece_length:g}` must be above 0 seconds")
        if self.class_thresholds and self.min_confidence is not None:
            raise ValueError(
                "`class_thresholds` and `min_confidence` exclude each other: leave out one"
            )
        self._check_outputs()

    def _check_outputs(self) -> None:
        ending = self._ending
        if self.report is not None and not self.report.lower().endswith((".html", ".htm")):
            raise ValueError(f"`report={self.report}` must end in .html")
        if self.output.lower().endswith(_OTHER_ENDINGS):
            raise ValueError(
                f"`output={self.output}` must end in .csv or .json, or be a folder for a file of "
                "each recording"
            )
        if len(set(self.outputs.values())) < len(self.outputs):
            raise ValueError(f"`output={self.output}` must differ from `report` and `picture_dir`")
        if ending and self.format not in (None, ending):
            raise ValueError(
                f"`output={self.output}` ends in .{ending}, but `format={self.format}` does not "
                f"fit: leave out `format`, or give a folder"
            )

    @property
    def event_format(self) -> EventFormat:
        """Format of the events."""
        return self.format or self._ending or "csv"

    @property
    def writes_folder(self) -> bool:
        """True if the output is a folder with a file for each recording."""
        return self._ending is None

    @property
    def _ending(self) -> Literal["csv", "json"] | None:
        name = self.output.lower()
        return "csv" if name.endswith(".csv") else "json" if name.endswith(".json") else None

    @property
    def requirements(self) -> Requirements:
        """Paths and resources that the job needs."""
        reads = {"model": self.model, "audio_dir": self.audio_dir, "annotations": self.annotations}
        files = {"output": self.output.rstrip("/"), "report": self.report}
        writes = {name: posixpath.dirname(path) or "." for name, path in files.items() if path}
        if self.picture_dir is not None:
            writes["picture_dir"] = self.picture_dir
        return Requirements(reads=reads, writes=writes, use_gpu=self.use_gpu)

    @property
    def outputs(self) -> dict[str, str]:
        """Files and folders that are written, by setting."""
        paths = {"output": self.output, "report": self.report, "picture_dir": self.picture_dir}
        return {name: path for name, path in paths.items() if path is not None}
