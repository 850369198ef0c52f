"""The detect stage: listen to recordings, find their events, write and score them."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from freqquest.cnn.model_card import ModelCard
from freqquest.cnn.model_file import read_card
from freqquest.dataset.tree import list_tree
from freqquest.detection.config import DetectConfig
from freqquest.detection.event_files import file_names, frequency_range, write_events
from freqquest.detection.events import (
    EVENT_COLUMNS,
    Event,
    event_settings,
    find_events,
    score_segments,
)
from freqquest.detection.frames import with_floor
from freqquest.detection.grid import Grid
from freqquest.detection.listen import Heard
from freqquest.detection.parts import mark_outputs, marked_outputs, open_parts
from freqquest.detection.recordings import Recording, list_recordings, measure, refuse_unreadable
from freqquest.detection.references import References, read_references
from freqquest.detection.report import RecordingView, picture, write_report
from freqquest.detection.scan import Scan
from freqquest.detection.score_table import describe_scores
from freqquest.detection.scores import SEGMENT_S, count_segments, score_events
from freqquest.errors import UserError
from freqquest.storage import Location, locate


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """A request that was checked."""

    output: Location
    card: ModelCard
    grid: Grid
    recordings: list[Recording]


@dataclass(frozen=True, kw_only=True, slots=True)
class Detections:
    """Result of the stage."""

    events: pd.DataFrame
    """Table with EVENT_COLUMNS."""
    recordings: list[Recording]
    summary: str
    """Lines for the job's output."""


def check_request(config: DetectConfig) -> Request:
    """Check all that needs no Ray, and list the recordings.

    Raises:
        UserError: The model or the folder is not usable, or the output exists.
    """
    unfinished = marked_outputs(locate(config.output))
    for name, path in config.outputs.items():
        if not config.overwrite and path not in unfinished and _is_taken(locate(path)):
            raise UserError(
                f"`{name}={path}` exists: choose another path, or pass `overwrite=True`"
            )
    card = read_card(locate(config.model))
    card.analysis(locate(config.model))  # refuses a network whose runtime is not installed
    try:
        grid = Grid(clip=card.clip, view=card.view, hop_s=config.hop)
    except ValueError as error:
        raise UserError(f"`model={config.model}`: {error}") from error
    event_settings(config, card)  # refuses what the model cannot do
    recordings = list_recordings(config.audio_dir)
    return Request(output=locate(config.output), card=card, grid=grid, recordings=recordings)


def _is_taken(place: Location) -> bool:
    """Return whether there is a file, or a folder that holds something."""
    return place.exists() and (place.is_file() or bool(place.list_dir()))


def detect(config: DetectConfig, request: Request) -> Detections:
    """Find the events of all recordings, and write them.

    Needs an initialized Ray. What was heard lies in parts beside the output until all is written: a
    job that was stopped goes on.

    Args:
        config: Settings of the job.
        request: Result of `check_request`.

    Raises:
        UserError: Too many recordings cannot be read, the annotations are not usable, or there is
            no GPU.
        OSError: The storage fails.
    """
    recordings, limit = measure(request.recordings), config.max_quarantined_fraction
    refuse_unreadable(recordings, _beside(config, "unreadable.csv"), limit)
    references = _read_references(config, request.card, recordings)
    parts = open_parts(request.output, _settings(config))
    mark_outputs(parts, list(config.outputs.values()))
    scan = Scan(
        model_file=locate(config.model),
        grid=request.grid,
        parts=parts,
        piece_s=config.piece_length,
        use_gpu=config.use_gpu,
    )
    recordings = scan.run(recordings)
    refuse_unreadable(recordings, _beside(config, "unreadable.csv"), limit)
    events, segments = _find_all(config, request, scan.heard(recordings), references)
    write_events(
        events,
        _durations_s(recordings),
        request.output,
        config.event_format,
        frequency_range(request.card.view, request.card.clip.sample_rate_hz),
        is_folder=config.writes_folder,
    )
    scores: list[str] = []
    if references is not None:
        scores = _score(config, request.card, events, references, segments)
    _show(config, scan, recordings, events, "\n".join(scores))
    if config.keep_parts:
        mark_outputs(parts, [])
    else:
        parts.remove_dir()
    return Detections(
        events=events,
        recordings=recordings,
        summary="\n".join([*_describe(events, recordings, request.card.clip.duration_s), *scores]),
    )


def _settings(config: DetectConfig) -> dict[str, object]:
    """Return all that what is heard depends on, beside the recordings."""
    return {
        "model_sha256": hashlib.sha256(locate(config.model).read_bytes()).hexdigest(),
        "hop_s": config.hop,
    }


def _durations_s(recordings: Iterable[Recording]) -> dict[str, float]:
    """Return the lengths of the readable recordings, by name."""
    return {each.name: each.duration_s for each in recordings if not each.reason}


def _read_references(
    config: DetectConfig, card: ModelCard, recordings: Iterable[Recording]
) -> References | None:
    """Return the annotated sounds of the recordings, if there are annotations."""
    if config.annotations is None:
        _beside(config, "scores.json").remove_file()  # of events that are replaced
        return None
    tree = list_tree(config.audio_dir, "audio_dir", may_be_file=True)
    return read_references(tree, config.annotations, _durations_s(recordings), card.sound_classes)


def _find_all(
    config: DetectConfig,
    request: Request,
    heard: Iterable[tuple[Recording, Heard]],
    references: References | None,
) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """Return the events of all recordings, and the scores of the annotated ones' segments."""
    settings, grid = event_settings(config, request.card), request.grid
    rows: list[Event] = []
    segments = {}
    for recording, of_recording in heard:
        name, duration_s = recording.name, recording.duration_s
        rows += find_events(name, duration_s, of_recording, grid, settings)
        if references is not None and name in references.durations_s:
            count = count_segments(duration_s)
            segments[name] = score_segments(of_recording, grid, settings, count, SEGMENT_S)
    return pd.DataFrame(rows, columns=EVENT_COLUMNS), segments


def _score(
    config: DetectConfig,
    card: ModelCard,
    events: pd.DataFrame,
    references: References,
    segments: dict[str, np.ndarray],
) -> list[str]:
    """Score the events beside the annotations, write the scores, and return lines about them."""
    annotated, durations_s, classes = references.events, references.durations_s, card.sound_classes
    scores = score_events(events, annotated, durations_s, classes, probabilities=segments)
    file = _beside(config, "scores.json")
    file.write_text(json.dumps(scores, indent=1) + "\n")
    return [*references.notes, describe_scores(scores), f"scores: {file}"]


def _show(
    config: DetectConfig,
    scan: Scan,
    recordings: Sequence[Recording],
    events: pd.DataFrame,
    scores: str,
) -> None:
    """Write the pictures and the report, as far as they are wanted."""
    by_name = dict(list(events.groupby("path")))
    none = events.iloc[:0]

    def views(some: Sequence[Recording]) -> Iterator[RecordingView]:
        for recording, heard in scan.heard(some):
            yield RecordingView(
                path=recording.name,
                audio=locate(recording.path),
                duration_s=recording.duration_s,
                spectrogram=with_floor(heard.columns),
                events=by_name.get(recording.name, none),
            )

    if config.picture_dir is not None:
        names = file_names((each.name for each in recordings), ".png")
        for view in views(recordings):
            (locate(config.picture_dir) / names[view.path]).write_bytes(picture(view))
    if config.report is not None:
        by_count = sorted(recordings, key=lambda each: -len(by_name.get(each.name, none)))
        write_report(views(by_count[: config.max_reported]), locate(config.report), scores)


def _beside(config: DetectConfig, ending: str) -> Location:
    """Return a file beside the output."""
    return locate(f"{config.output.rstrip('/')}.{ending}")


def _describe(
    events: pd.DataFrame, recordings: Iterable[Recording], window_s: float
) -> Iterator[str]:
    """Yield lines about the events and the recordings."""
    lengths_s, counts = _durations_s(recordings).values(), events["label"].value_counts()
    line = f"{len(events):,} event(s) in {len(lengths_s):,} recording(s) of {_hours(lengths_s)}"
    found = ", ".join(f"{count:,} {label}" for label, count in counts.items())
    yield f"{line}: {found}" if found else line
    if num_short := sum(length_s < window_s for length_s in lengths_s):
        yield (
            f"{num_short:,} recording(s) are shorter than a window of {window_s:g} s, and were "
            "padded with silence"
        )


def _hours(lengths_s: Iterable[float]) -> str:
    seconds = sum(lengths_s)
    return f"{seconds / 3600:.2f} h" if seconds >= 3600 else f"{seconds / 60:.1f} min"
