"""A small run folder with held-out and generated clips, for tests of its report."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from freqquest import plots
from freqquest.runs import layout
from freqquest.runs.clip_files import encode_clip, write_clips
from freqquest.runs.predictions import Predictions, worth_a_look, write_predictions
from freqquest.storage import locate
from tests.conftest import tone

CLASSES = ("dog", "siren", "rain")

TRUE = (0, 0, 0, 0, 1, 1, 1, 2, 2)
ANSWERS = (0, 0, 1, 1, 1, 1, 0, 2, 2)
CONFIDENCES = (0.9, 0.6, 0.5, 0.8, 0.9, 0.5, 0.7, 0.95, 0.6)
"""Clips 2 and 3 are dogs that are taken for sirens, and clip 6 is the reverse."""


def make_predictions(
    true: tuple[int, ...] = TRUE,
    answers: tuple[int, ...] = ANSWERS,
    confidences: tuple[float, ...] = CONFIDENCES,
) -> Predictions:
    """Return predictions with one label a clip."""
    rows = np.arange(len(true))
    probabilities = np.tile((1 - np.array(confidences))[:, None] / 2, len(CLASSES))
    probabilities[rows, answers] = confidences
    return Predictions(
        places=_places(len(true)),
        classes=CLASSES,
        labels=np.eye(len(CLASSES), dtype=bool)[list(true)],
        answers=np.eye(len(CLASSES), dtype=bool)[list(answers)],
        probabilities=probabilities,
        has_several_labels=False,
    )


def make_predictions_of_several_labels() -> Predictions:
    """Return predictions of three clips: a right one, one with a missed and one with a wrong label.

    The thresholds are 0.5.
    """
    probabilities = np.array([[0.9, 0.6, 0.2], [0.8, 0.3, 0.1], [0.7, 0.2, 0.9]])
    return Predictions(
        places=_places(3),
        classes=CLASSES,
        labels=np.array([[1, 1, 0], [1, 1, 0], [1, 0, 0]], bool),
        answers=probabilities >= 0.5,
        probabilities=probabilities,
        has_several_labels=True,
    )


def write_run(folder: Path, predictions: Predictions) -> None:
    """Write the files of a classifier's stage that the report reads."""
    run = locate(folder)
    several = predictions.has_several_labels
    score = "mean_average_precision" if several else "accuracy"
    of_class = {"precision": 0.5, "recall": 0.25, "support": 4.0}
    if several:
        of_class |= {"average_precision": 0.625, "threshold": 0.5}
    cnn = {
        score: 0.75,
        f"{score}_by_fold": [0.75],
        "num_clips": len(predictions),
        "num_recordings": 2,
        "num_trials": 1,
        "num_failed_trials": 0,
        "num_members": 1,
        "trained_on": "all labeled clips",
        "cnn_config": {"schedule": "one_cycle"},
        "split": "by recordings",
        "by_class": {
            label: of_class | {"recall": (number + 1) / 4} for number, label in enumerate(CLASSES)
        },
        "temperature": [1.0] * 3 if several else 1.0,
        "calibration_error": {"before": 0.2, "after": 0.1},
        "machine": "this one",
    }
    (run / layout.METRICS_NAME).write_text(json.dumps({"cnn": cnn}))
    write_predictions(predictions, run)
    picture = plots.png(np.zeros((8, 8, 3), np.uint8))
    for name in (layout.LEARNING_CURVES_NAME, layout.SEARCH_PROGRESS_NAME, layout.RELIABILITY_NAME):
        (run / layout.FIGURES_DIR / name).write_bytes(picture)
    if several:
        (run / layout.CLASS_SCORES_NAME).write_bytes(picture)
    rows = [
        {"row": int(number), **encode(300 + 100 * number)} for number in worth_a_look(predictions)
    ]
    write_clips(rows, run / layout.VALIDATION_CLIPS_NAME)


def encode(pitch_hz: float) -> dict[str, bytes | None]:
    """Return sound and picture of a tone."""
    spectrogram = np.random.default_rng(int(pitch_hz)).normal(-40, 10, (128, 173))
    return encode_clip(tone(pitch_hz, 1.0), 22_050, spectrogram)


def _places(num_clips: int) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "path": [f"/clips/all/clip{number}.wav" for number in range(num_clips)],
            "start_s": np.arange(num_clips) / 2,
            "end_s": np.where(np.arange(num_clips) % 2, np.nan, 4.0),
            "recording": [f"recording {number // 4}" for number in range(num_clips)],
        }
    )
