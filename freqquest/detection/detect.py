"""The detect stage: listen to recordings, find their events, write and compare them."""

import hashlib
from dataclasses import dataclass

import numpy as np
import pandas as pd

from freqquest.cnn.model_file import ModelCard, read_card
from freqquest.cnn.predict import list_requested_clips
from freqquest.dataset.quarantine import are_too_many
from freqquest.dataset.survey import measure_files
from freqquest.dataset.windows import WindowConfig
from freqquest.detection.config import DetectConfig
from freqquest.detection.event_files import frequency_range, write_events
from freqquest.detection.events import EventSettings, find_events, join_events
from freqquest.detection.grid import Grid
from freqquest.detection.parts import open_parts, recording_key
from freqquest.detection.scan import Scan
from freqquest.errors import UserError
from freqquest.runs.tables import write_csv
from freqquest.storage import locate

_UNSURE = 0.5
"""Threshold of a model that has none of its own."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """A request that was checked."""

    card: ModelCard
    grid: Grid
    recordings: pd.DataFrame
    """Columns `ID`, `path`, `num_bytes`, `modified_ns` and `reason`, as of `list_requested_clips`,
    and `key`, of the parts."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Detections:
    """Result of the stage."""

    events: pd.DataFrame
    """Table with EVENT_COLUMNS."""
    recordings: pd.DataFrame
    """Columns `ID`, `path`, `duration_s` and `reason`: why one could not be read, else empty."""

    @property
    def summary(self) -> str:
        """Line about the events, for the job's output."""
        hours = self.recordings["duration_s"].sum() / 3600
        counts = self.events["label"].value_counts()
        found = ", ".join(f"{count:,} {label}" for label, count in counts.items())
        return (
            f"{len(self.events):,} event(s) in {len(self.recordings):,} recording(s) of "
            f"{hours:.2f} h" + f": {found}" * bool(found)
        )

    @property
    def num_unreadable(self) -> int:
        """Number of recordings that could not be read."""
        return int((self.recordings["reason"] != "").sum())


def check_request(config: DetectConfig) -> Request:
    """Check all that needs no Ray, and list the recordings.

    Raises:
        UserError: The model or the folder is not usable, or the output exists.
    """
    output = locate(config.output)
    if not config.overwrite and output.exists() and (output.is_file() or output.list_dir()):
        raise UserError(f"`output={output}` exists: choose another path, or pass `overwrite=True`")
    card = read_card(locate(config.model))
    try:
        grid = Grid(clip=card.clip, view=card.view, hop_s=config.hop)
    except ValueError as error:
        raise UserError(f"`model={config.model}`: {error}") from error
    recordings = list_requested_clips(config.audio_dir, None)
    columns = (recordings[name] for name in ("path", "num_bytes", "modified_ns"))
    keys = [recording_key(*row) for row in zip(*columns, strict=True)]
    return Request(card=card, grid=grid, recordings=recordings.assign(key=keys))


def detect(config: DetectConfig, request: Request) -> Detections:
    """Find the events of all recordings, and write them.

    Needs an initialized Ray. What was heard lies in parts beside the output until the events are
    written: a job that was stopped goes on.

    Args:
        config: Settings of the job.
        request: Result of `check_request`.

    Raises:
        UserError: Too many recordings cannot be read, or there is no GPU.
        OSError: The storage fails.
    """
    output = locate(config.output)
    recordings = _measure(request.recordings)
    _refuse_unreadable(recordings, config)
    parts = open_parts(output, _settings(config, request))
    scan = Scan(
        model_file=locate(config.model),
        grid=request.grid,
        parts=parts,
        piece_s=config.piece_length,
        use_gpu=config.use_gpu,
        has_pictures=False,
    )
    scan.run(recordings)
    _refuse_unreadable(recordings, config)
    settings = event_settings(config, request.card)
    events = join_events(
        find_events(recordings.loc[row, "ID"], heard, request.grid, settings)
        for row, heard in scan.heard(recordings)
    )
    readable = recordings[recordings["reason"] == ""]
    write_events(
        events,
        dict(zip(readable["ID"], readable["duration_s"], strict=True)),
        output,
        config.event_format,
        frequency_range(request.card.view, request.card.clip.sample_rate_hz),
        is_folder=config.writes_folder,
    )
    parts.remove_dir()
    return Detections(events=events, recordings=recordings)


def event_settings(config: DetectConfig, card: ModelCard) -> EventSettings:
    """Return what makes an event, with the model's thresholds unless the user gives another."""
    thresholds = card.detection_thresholds or card.thresholds or [_UNSURE] * len(card.classes)
    if config.min_confidence is not None:
        thresholds = [config.min_confidence] * len(card.classes)
    return EventSettings(
        labels=[None if label == card.background_label else label for label in card.classes],
        thresholds=np.array(thresholds),
        min_level_db=config.min_level,
        min_contrast_db=config.min_contrast,
        merge_gap_s=config.merge_gap,
        min_duration_s=config.min_duration,
    )


def _settings(config: DetectConfig, request: Request) -> dict[str, object]:
    """Return all that what is heard depends on, beside the recordings."""
    return {
        "model_sha256": hashlib.sha256(locate(config.model).read_bytes()).hexdigest(),
        "hop_s": config.hop,
        "has_pictures": config.report is not None,
    }


def _measure(recordings: pd.DataFrame) -> pd.DataFrame:
    """Return the recordings with `duration_s`, and the reasons of those that cannot be read."""
    readable = recordings[recordings["reason"] == ""]
    measured = measure_files(readable["path"].to_numpy(), WindowConfig())
    lengths = readable["path"].map(lambda path: measured[path][0])
    reasons = readable["path"].map(lambda path: measured[path][2])
    table = recordings.assign(duration_s=0.0)
    table.loc[readable.index, "duration_s"] = lengths
    table.loc[readable.index, "reason"] = reasons
    return table


def _refuse_unreadable(recordings: pd.DataFrame, config: DetectConfig) -> None:
    """List the unreadable recordings beside the output; refuse too many."""
    unreadable = recordings[recordings["reason"] != ""]
    file = locate(f"{config.output.rstrip('/')}.unreadable.csv")
    write_csv(unreadable[["path", "reason"]], file)
    if are_too_many(len(unreadable), len(recordings), config.max_quarantined_fraction):
        raise UserError(
            f"{len(unreadable)} of {len(recordings)} recordings cannot be read, more than "
            f"`max_quarantined_fraction={config.max_quarantined_fraction}` allows; the first is "
            f"{unreadable['path'].iloc[0]} ({unreadable['reason'].iloc[0]}), all are listed in "
            f"{file}; fix or remove them, or raise the fraction"
        )
