import dataclasses

import numpy as np
import pandas as pd
import pytest

from freqquest.audio.clip import ClipConfig
from freqquest.audio.spectrogram import CNN_VIEW
from freqquest.detection.events import (
    EVENT_COLUMNS,
    EventSettings,
    background_level,
    find_events,
    loud_frames,
    score_frames,
    score_segments,
)
from freqquest.detection.grid import Grid
from freqquest.detection.listen import Heard

GRID = Grid(clip=ClipConfig(), view=CNN_VIEW, hop_s=1.0)
SECONDS = 40.0
SETTINGS = EventSettings(
    labels=["dog", "siren"],
    thresholds=np.array([0.5, 0.5]),
    min_level_db=-60.0,
    min_contrast_db=3.0,
    merge_gap_s=1.0,
    min_duration_s=0.0,
)


def frame(seconds):
    return round(seconds / GRID.frame_s)


def hear(*sounds, levels_db=(-50.0, -20.0)):
    """What a good model hears of sounds (class, start, end) before a background."""
    num_windows, num_frames = GRID.num_windows(SECONDS), GRID.num_frames(SECONDS)
    probabilities = np.full((num_windows, 2), 0.05, np.float32)
    levels = np.full(num_frames, levels_db[0], np.float16)
    changes = np.random.default_rng(0).uniform(0, 1, num_frames).astype(np.float16)
    for index, start_s, end_s in sounds:
        levels[frame(start_s) : frame(end_s)] = levels_db[1]
        changes[[frame(start_s), min(num_frames - 1, frame(end_s))]] = 30
        for window in range(num_windows):
            overlap_s = min(end_s, window + 4) - max(start_s, window)
            if overlap_s > 0.3 * min(4, end_s - start_s):
                probabilities[window, index] = 0.9
    return Heard(
        probabilities=probabilities,
        levels=levels,
        changes=changes,
        first_column=0,
        columns=np.zeros((0, 0), np.float16),
    )


def events_of(heard, **changed):
    settings = dataclasses.replace(SETTINGS, **changed)
    events = find_events("a.wav", SECONDS, heard, GRID, settings)
    return pd.DataFrame(events, columns=EVENT_COLUMNS)


def test_events_begin_and_end_with_the_sound_finer_than_the_hop():
    found = events_of(hear((0, 5.3, 9.4), (1, 20.25, 29.9)))
    assert found["label"].tolist() == ["dog", "siren"]
    assert found["path"].unique().tolist() == ["a.wav"]
    np.testing.assert_allclose(found["start_s"], [5.3, 20.25], atol=GRID.frame_s)
    np.testing.assert_allclose(found["end_s"], [9.4, 29.9], atol=GRID.frame_s)
    np.testing.assert_allclose(found["confidence"], 0.9, atol=1e-3)


def test_sounds_of_several_classes_may_overlap():
    found = events_of(hear((0, 10.0, 20.0), (1, 15.0, 25.0)))
    assert found["label"].tolist() == ["dog", "siren"]
    assert found["start_s"][1] < found["end_s"][0]


def test_an_event_at_either_end_of_the_recording_reaches_it():
    found = events_of(hear((0, 0.0, 5.0), (0, 30.0, SECONDS)))
    assert found["start_s"][0] == 0
    assert found["end_s"][1] == pytest.approx(SECONDS, abs=2 * GRID.frame_s)


def test_gaps_up_to_the_limit_are_closed_and_short_events_left_out():
    sounds = (0, 10.0, 14.0), (0, 14.8, 18.0), (1, 25.0, 25.6)
    assert len(events_of(hear(*sounds))) == 2
    assert len(events_of(hear(*sounds), min_duration_s=1.0)) == 1
    far_apart = hear((0, 5.0, 9.0), (0, 20.0, 24.0))
    assert len(events_of(far_apart)) == 2
    assert len(events_of(far_apart, merge_gap_s=20.0)) == 1


def test_a_class_without_label_is_never_an_event():
    assert events_of(hear((0, 10.0, 20.0)), labels=[None, "siren"]).empty


def test_only_classes_above_their_own_threshold_are_heard():
    heard = hear((0, 5.0, 10.0), (1, 20.0, 25.0))
    found = events_of(heard, thresholds=np.array([0.95, 0.5]))
    assert found["label"].tolist() == ["siren"]


def test_the_background_of_a_recording_is_no_event_however_the_model_hears_it():
    heard = hear((0, 10.0, 14.0))
    heard.probabilities[:, 1] = 0.9
    assert set(events_of(heard, min_contrast_db=0.0)["label"]) == {"dog", "siren"}
    found = events_of(heard)
    assert found["end_s"].max() - found["start_s"].min() < 6


def test_a_sound_that_lasts_through_the_recording_is_heard():
    heard = hear((0, 0.0, SECONDS))
    (event,) = events_of(heard).itertuples()
    assert (event.start_s, event.label) == (0, "dog")
    assert event.end_s == pytest.approx(SECONDS, abs=2 * GRID.frame_s)


def test_nothing_below_the_lowest_level_is_heard():
    assert events_of(hear((0, 10.0, 14.0), levels_db=(-90.0, -65.0))).empty
    assert not events_of(hear((0, 10.0, 14.0), levels_db=(-90.0, -55.0))).empty


def test_loud_frames_of_silence_are_none():
    assert not loud_frames(np.full(100, -100.0), GRID, SETTINGS).any()


def test_the_background_follows_the_day():
    night, day = np.full(frame(3600), -70.0), np.full(frame(3600), -40.0)
    levels = np.concatenate([night, day])
    levels[frame(5000) : frame(5003)] = -30
    background = background_level(levels, GRID.frame_s)
    assert background[[0, frame(3000)]] == pytest.approx(-70)
    assert background[[frame(5000), -1]] == pytest.approx(-40)
    assert loud_frames(levels, GRID, SETTINGS)[frame(4500) :].sum() == frame(5003) - frame(5000)
    assert background_level(levels[:10], GRID.frame_s) == pytest.approx(-70)


def test_events_stay_on_their_sounds_and_are_as_sure_as_the_threshold():
    rng = np.random.default_rng(0)
    for _ in range(100):
        heard = hear()
        heard.probabilities[:] = rng.uniform(0, 1, heard.probabilities.shape)
        heard.levels[:] = rng.uniform(-80, 0, len(heard.levels))
        heard.changes[:] = rng.uniform(0, 9, len(heard.changes))
        found = events_of(heard)
        assert (found["confidence"] >= 0.5).all()
        assert (found["end_s"] > found["start_s"]).all()
        assert (found["end_s"] <= SECONDS).all()
        for _, of_class in found.groupby("label"):
            assert (of_class["start_s"].iloc[1:].array > of_class["end_s"].iloc[:-1].array).all()


def test_frames_between_windows_that_do_not_overlap_have_no_score():
    grid = dataclasses.replace(GRID, hop_s=10.0)
    heard = dataclasses.replace(hear(), probabilities=np.full((4, 2), 0.8, np.float32))
    everywhere = dataclasses.replace(SETTINGS, min_contrast_db=0.0)
    for scores in score_frames(heard, grid, everywhere):
        assert scores[frame(2.0)] == pytest.approx(0.8, abs=1e-3)
        assert scores[frame(5.0)] == 0


def test_segments_have_the_largest_score_of_their_frames():
    heard = hear((0, 5.3, 9.4))
    segments = score_segments(heard, GRID, SETTINGS, 40, 1.0)
    assert segments.shape == (40, 2)
    assert (segments[6:9, 0] > 0.8).all()
    assert (segments[[0, 20, 39], 0] < 0.1).all()
    assert segments.min() == 0
    one_class = dataclasses.replace(SETTINGS, labels=["dog", None])
    np.testing.assert_array_equal(score_segments(heard, GRID, one_class, 40, 1.0), segments[:, :1])
