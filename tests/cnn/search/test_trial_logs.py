from types import SimpleNamespace

import numpy as np

from freqquest.audio.clip import ClipConfig
from freqquest.cnn.scores import score_of
from freqquest.cnn.search.trial_logs import TrialLogs
from freqquest.dataset import load_clip
from freqquest.storage import locate
from tests.cnn.conftest import make_clips, make_clips_of_several_labels


def test_mistakes_come_with_the_most_confident_first():
    probabilities = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8]])
    mistakes = score_of(has_several_labels=False).mistakes(
        probabilities, np.eye(2, dtype=bool)[[1, 1, 1]]
    )
    assert mistakes == [(0, 0), (1, 0)]


def test_mistakes_of_several_labels_name_what_was_predicted_or_missed(tmp_path, monkeypatch):
    texts = []
    monkeypatch.setattr(
        "freqquest.cnn.search.event_file.EventFile.add_text", lambda _, *text: texts.append(text)
    )
    clips = make_clips_of_several_labels()  # the first has both labels, the fifth the second
    logs = TrialLogs(locate(tmp_path))
    rows, probabilities = np.array([0, 4]), np.array([[0.9, 0.2], [0.7, 0.6]])
    logs.log_predictions(clips, rows, probabilities, ClipConfig(duration_s=0.5), epoch=1)
    logs.close()
    assert texts == [
        (
            "mistakes/captions",
            "1. tones;clicks, predicted without clicks (20%): clip0\n"
            "2. clicks, predicted as tones (70%): clip4",
            1,
        )
    ]


def test_the_sound_of_a_mistake_is_its_part_of_the_file(tmp_path, monkeypatch):
    opened = []

    def open_clip(path, config, start_s, end_s):
        opened.append((path, start_s, end_s))
        return SimpleNamespace(waveform=np.zeros(config.num_samples, np.float32))

    monkeypatch.setattr(load_clip, "open_clip", open_clip)
    clips = make_clips()
    clips.start_s[:2], clips.end_s[1] = (3.5, 8.0), 9.0
    probabilities = np.eye(2)[1 - clips.class_indices[:2]]
    logs = TrialLogs(locate(tmp_path))
    logs.log_predictions(clips, np.arange(2), probabilities, ClipConfig(duration_s=0.5), epoch=1)
    logs.close()
    assert opened == [("nowhere.wav", 3.5, None), ("nowhere.wav", 8.0, 9.0)]
