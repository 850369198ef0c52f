"""Final evaluation of a generator: its metrics, and clips to compare by ear with real ones. No Ray.

Shapes: N clips, S samples, K classes.
"""

from typing import TypedDict

import numpy as np
import pandas as pd

from freqquest.audio.spectrogram import log_mel
from freqquest.cgan.evaluation import Evaluation, format_evaluation
from freqquest.cgan.judging import RealismEvaluator
from freqquest.dataset.load_clip import waveform_if_readable
from freqquest.dataset.manifest import Manifest
from freqquest.runs import layout
from freqquest.runs.clip_files import encode_clip, write_clips
from freqquest.storage import Location

_PAIRS_PER_CLASS = 3
_MAX_PAIRS = 60
"""Generated clips that are stored beside their nearest training clips."""


class GeneratedClips(TypedDict):
    """Clips to be judged."""

    waveforms: np.ndarray
    """`[N, S]`."""
    class_indices: np.ndarray
    """Classes `[N]` that they were made for."""


def judge_finally(
    evaluator: RealismEvaluator, clips: GeneratedClips, manifest: Manifest, run: Location
) -> tuple[Evaluation, Evaluation]:
    """Evaluate clips of the kept generator, and write tables and some clips into the run folder.

    Args:
        evaluator: Evaluator that has seen the real clips.
        clips: As many clips of each class.
        manifest: The dataset.
        run: The run folder.

    Returns:
        The metrics, and the same of as many real clips.
    """
    evaluation = evaluator.evaluate(**clips)
    baseline = evaluator.real_baseline(len(clips["waveforms"]) // len(manifest.classes))
    (run / layout.JUDGE_TABLE_NAME).write_text(format_evaluation(evaluation, baseline) + "\n")
    _write_pairs(evaluator, clips, manifest, run)
    return evaluation, baseline


def _write_pairs(
    evaluator: RealismEvaluator, clips: GeneratedClips, manifest: Manifest, run: Location
) -> None:
    """Write the first clips of each class, each with its nearest training clip."""
    ranks = pd.Series(clips["class_indices"]).groupby(clips["class_indices"]).cumcount().to_numpy()
    first = np.argsort(ranks, kind="stable")[:_MAX_PAIRS]
    chosen = np.sort(first[ranks[first] < _PAIRS_PER_CLASS])
    waveforms, class_indices = clips["waveforms"][chosen], clips["class_indices"][chosen]
    probabilities, nearest = evaluator.find_nearest(waveforms, class_indices)
    classes = manifest.classes
    rows = [
        {
            "label": classes[class_index],
            "Class": classes[of_clip.argmax()],
            "probability": float(of_clip.max()),
            **_encode(waveform, manifest),
            "distance": float(distance),
            "nearest": _real_clip(row, manifest),
        }
        for waveform, class_index, of_clip, distance, (_, row) in zip(
            waveforms,
            class_indices,
            probabilities,
            nearest.distances,
            nearest.rows.iterrows(),
            strict=True,
        )
    ]
    write_clips(rows, run / layout.NEAREST_CLIPS_NAME)


def _real_clip(row: pd.Series, manifest: Manifest) -> dict[str, object]:
    """Return the cells of a training clip; without sound if its file is no longer readable."""
    start_s, end_s = float(row["start_s"]), float(row["end_s"])
    waveform = waveform_if_readable(row["path"], manifest.clip, start_s, end_s)
    cells: dict[str, object] = {name: row[name] for name in ("path", "recording", "label")}
    return cells | {"start_s": start_s} | _encode(waveform, manifest)


def _encode(waveform: np.ndarray | None, manifest: Manifest) -> dict[str, bytes | None]:
    rate_hz = manifest.clip.sample_rate_hz
    if waveform is None:
        return encode_clip(None, rate_hz, None)
    return encode_clip(waveform, rate_hz, log_mel(waveform, manifest.views["cnn"], rate_hz))
