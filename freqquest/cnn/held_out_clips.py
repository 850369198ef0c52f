"""Predictions of the held-out clips, written for users and for the report. No Ray, no Keras.

Shapes: N clips, K classes, S samples.
"""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pandas as pd

from freqquest.audio.clip import ClipConfig
from freqquest.cluster.cores import num_usable_cores
from freqquest.cnn.candidates import Candidate
from freqquest.cnn.labeled_clips import LabeledClips
from freqquest.cnn.search.selection import held_out
from freqquest.dataset.load_clip import waveform_if_readable
from freqquest.runs import layout
from freqquest.runs.clip_files import encode_clip, write_clips
from freqquest.runs.metrics import SearchMetrics
from freqquest.runs.predictions import Predictions, worth_a_look, write_predictions
from freqquest.storage import Location


def write_held_out_clips(
    kept: Candidate, clips: LabeledClips, metrics: SearchMetrics, clip: ClipConfig, run: Location
) -> None:
    """Write the predictions of all held-out clips, and sounds and pictures of those worth a look.

    Args:
        kept: The classifier that is kept.
        clips: Clips that its rows refer to.
        metrics: Its metrics.
        clip: Format that the audio files are converted to.
        run: The run folder.
    """
    predictions = _predictions(kept, clips, metrics)
    write_predictions(predictions, run)
    numbers = worth_a_look(predictions)
    encode = partial(_encode, clips, clip)
    with ThreadPoolExecutor(num_usable_cores()) as threads:
        cells = list(threads.map(encode, kept.rows[numbers]))
    table = [
        {"row": int(number), **of_clip} for number, of_clip in zip(numbers, cells, strict=True)
    ]
    write_clips(table, run / layout.VALIDATION_CLIPS_NAME)


def _predictions(kept: Candidate, clips: LabeledClips, metrics: SearchMetrics) -> Predictions:
    rows = kept.rows
    probabilities, labels = held_out(kept, clips, metrics)
    if clips.has_several_labels:
        thresholds = [metrics["by_class"][label]["threshold"] for label in clips.classes]
        answers = probabilities >= np.array(thresholds)
    else:
        answers = np.eye(len(clips.classes), dtype=bool)[probabilities.argmax(axis=1)]
    places = {
        "path": clips.paths[rows],
        "start_s": clips.start_s[rows],
        "end_s": clips.end_s[rows],
        "recording": clips.recordings[rows],
    }
    return Predictions(
        places=pd.DataFrame(places),
        classes=clips.classes,
        labels=labels,
        answers=answers,
        probabilities=probabilities,
        has_several_labels=clips.has_several_labels,
    )


def _encode(clips: LabeledClips, clip: ClipConfig, row: int) -> dict[str, bytes | None]:
    """Return sound and picture of a row; without sound if its file is no longer readable."""
    place = float(clips.start_s[row]), float(clips.end_s[row])
    waveform = waveform_if_readable(str(clips.paths[row]), clip, *place)
    return encode_clip(waveform, clip.sample_rate_hz, clips.spectrograms[row])
