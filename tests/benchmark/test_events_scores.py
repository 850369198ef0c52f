from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from freqquest.audio.clip import ClipConfig
from freqquest.audio.spectrogram import CNN_VIEW
from freqquest.benchmark.events_scores import Variant, false_events, score
from freqquest.benchmark.events_training import BACKGROUND, HeardRecording, Listening
from freqquest.detection.events import EVENT_COLUMNS
from freqquest.detection.grid import Grid
from freqquest.detection.listen import Heard
from freqquest.detection.references import REFERENCE_COLUMNS

GRID = Grid(clip=ClipConfig(), view=CNN_VIEW, hop_s=1.0)
SECONDS = 60.0
SOUND_S = 20.0, 24.0


def make_recording(of_noise, color="pink"):
    """A recording with one sound of the first class, and what a model hears in it.

    Args:
        of_noise: Probabilities `[K]` of windows that hold only noise.
        color: Color of the noise.
    """
    num_windows, num_frames = GRID.num_windows(SECONDS), GRID.num_frames(SECONDS)
    start, end = (round(edge / GRID.frame_s) for edge in SOUND_S)
    probabilities = np.tile(np.float32(of_noise), (num_windows, 1))
    probabilities[18:23] = 0.01
    probabilities[18:23, 0] = 0.95
    levels, changes = np.full(num_frames, -50.0), np.zeros(num_frames)
    levels[start:end], changes[[start, end]] = -20, 30
    heard = Heard(
        probabilities=probabilities,
        levels=levels,
        changes=changes,
        first_column=0,
        columns=np.zeros((0, 0)),
    )
    references = pd.DataFrame([(color, *SOUND_S, "dog")], columns=list(REFERENCE_COLUMNS))
    return HeardRecording(
        name=color,
        color=color,
        level_db=-50.0,
        duration_s=SECONDS,
        references=references,
        heard=heard,
    )


def make_listening(classes, thresholds, *recordings):
    return Listening(
        fold="1",
        seed=0,
        classes=classes,
        accuracy=1.0,
        temperature=1.0,
        thresholds=thresholds,
        recordings=list(recordings),
    )


def test_the_gate_or_thresholds_keep_noise_from_being_heard():
    listening = make_listening(("dog", "siren"), [0.5, 0.8], make_recording([0.1, 0.7]))
    single = Variant(has_thresholds=False)
    wrong = score(listening, GRID, single.without_gate())
    # The noise before and after the sound is an event each.
    assert wrong["false_per_hour"] == pytest.approx(2 / 56 * 3600)
    assert wrong["event_f1"] == pytest.approx(2 * 1 / (3 + 1))
    assert wrong["event_precision"] == pytest.approx(1 / 3)
    assert wrong["false_share"] > 0.9
    for right in (single, Variant().without_gate(), Variant()):
        scores = score(listening, GRID, right)
        assert (scores["event_f1"], scores["onset_f1"]) == (1, 1)
        assert scores["false_per_hour"] == 0
        assert scores["false_share"] < 0.001  # the edges are rounded to frames


def test_a_background_class_is_no_event():
    classes = ("dog", "siren", BACKGROUND)
    listening = make_listening(classes, [0.5] * 3, make_recording([0.1, 0.2, 0.7]))
    assert listening.has_background
    scores = score(listening, GRID, Variant(has_background=True).without_gate())
    assert scores["event_f1"] == 1
    assert scores["false_per_hour"] == 0


def test_settings_of_the_variant_reach_the_events():
    recording = make_recording([0.1, 0.1])
    changes = recording.heard.changes.copy()
    changes[:] = 0
    changes[round(19.2 / GRID.frame_s)] = 30  # 0.8 s before the sound
    recording = replace(recording, heard=replace(recording.heard, changes=changes))
    listening = make_listening(("dog", "siren"), [0.5, 0.5], recording)
    assert score(listening, GRID, Variant())["onset_f1"] == 0
    assert score(listening, GRID, Variant(search_share=0.0))["onset_f1"] == 1
    assert score(listening, GRID, Variant(min_contrast_db=40.0))["event_f1"] == 0


def test_false_events_are_counted_in_noise_alone_and_by_its_color():
    pink, brown = make_recording([0.0, 0.0]), make_recording([0.7, 0.1], "brown")
    events = pd.DataFrame(
        [
            ("pink", 0.0, 60.0, "dog", 0.9),  # false before and after the sound
            ("pink", 2.0, 3.0, "siren", 0.9),  # false, although short
            ("pink", 19.0, 24.5, "dog", 0.9),  # begins early
            ("brown", 23.0, 31.0, "dog", 0.9),  # is mostly after the sound
        ],
        columns=EVENT_COLUMNS,
    )
    assert false_events(events, [pink]) == pytest.approx((3 / 56 * 3600, 1.0))
    assert false_events(events, [pink, brown]) == pytest.approx((4 / 112 * 3600, 63 / 112))
    assert false_events(events, []) == (0, 0)
    # "one threshold" hears the brown noise alone.
    listening = make_listening(("dog", "siren"), [0.5, 0.5], pink, brown)
    scores = score(listening, GRID, Variant(has_thresholds=False).without_gate())
    assert scores["false_per_hour_unseen"] == 2 * scores["false_per_hour"] > 0
