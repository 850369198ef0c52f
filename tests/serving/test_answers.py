import base64
import io
import json
import time
from dataclasses import replace

import jsonschema
import matplotlib.image
import numpy as np
import pytest
import soundfile

from freqquest.audio.unreadable import UnreadableClipError
from freqquest.cnn.classifier import Classifier
from freqquest.dataset.windows import WindowConfig
from freqquest.errors import UserError
from freqquest.serving.answers import Upload, answer, hearing_of
from freqquest.serving.schemas import Classified
from freqquest.storage import locate
from tests.conftest import RATE_HZ, tone


def heard(content, hearing, network, **settings):
    return json.loads(answer(Upload(content, 60), hearing, network, **settings).content)


def wav(waveform):
    file = io.BytesIO()
    soundfile.write(file, waveform, RATE_HZ, format="WAV")
    return file.getvalue()


def test_a_clip_has_the_classes_that_the_classifier_predicts(hearing, network, tmp_path):
    (tmp_path / "clip.wav").write_bytes(wav(tone(200.0)))
    content = heard((tmp_path / "clip.wav").read_bytes(), hearing, network)
    assert len(content["windows"]) == 1
    require_equal(content, Classifier(_Model(network), hearing.card), tmp_path / "clip.wav")


def test_a_recording_has_the_average_of_windows_each_second(hearing, network, recording):
    content = heard(recording.read_bytes(), hearing, network)
    starts = [window["start_s"] for window in content["windows"]]
    assert starts == pytest.approx(range(77), abs=0.02)
    assert all(each["end_s"] == pytest.approx(each["start_s"] + 4) for each in content["windows"])
    for name, probability in content["probabilities"].items():
        of_windows = [window["probabilities"][name] for window in content["windows"]]
        assert probability == pytest.approx(np.mean(of_windows), abs=1e-5)
    card = replace(hearing.card, windows=WindowConfig(kind="all", hop_s=1.0))
    require_equal(content, Classifier(_Model(network), card), recording, tolerance=0.01)


def require_equal(content, classifier, file, tolerance=1e-5):
    row = classifier.predict(file).iloc[0]
    assert content["label"] == row["label"]
    assert content["probability"] == pytest.approx(row["probability"], abs=tolerance)
    for name, probability in content["probabilities"].items():
        assert probability == pytest.approx(row[f"probability_{name}"], abs=tolerance)


class _Model:
    """A network as Keras' models are called."""

    def __init__(self, network):
        self._network = network
        self.inputs = [np.zeros((0, 128, 173, 1))]

    def predict_on_batch(self, batch):
        return self._network(batch[..., 0])


def test_a_clip_shorter_than_a_window_is_heard_to_its_end(hearing, network):
    content = heard(wav(tone(200.0, 1.5)), hearing, network)
    assert content["duration_s"] == 1.5
    assert [(each["start_s"], each["end_s"]) for each in content["windows"]] == [(0, 1.5)]
    assert all(0 <= each["start_s"] < each["end_s"] <= 1.5 for each in content["events"])


def test_an_answer_is_what_the_openapi_description_says(hearing, network, recording):
    events = replace(hearing.events, thresholds=np.full(3, 0.2))
    content = heard(
        recording.read_bytes(), replace(hearing, events=events), network, with_spectrogram=True
    )
    jsonschema.validate(content, Classified.model_json_schema())
    assert content["events"]
    spectrogram = content["spectrogram"]
    picture = matplotlib.image.imread(io.BytesIO(base64.b64decode(spectrogram["png"])))
    assert picture.shape[0] == 64
    assert 80 * 10 < picture.shape[1] <= 80 * 16
    assert picture.max() > picture.min()
    assert (spectrogram["min_frequency_hz"], spectrogram["max_frequency_hz"]) == (0, 11025)


@pytest.mark.parametrize(
    "content", [b"no audio at all", b"", b"RIFF", wav(tone(200.0))[:-1000], wav(tone(200.0))[:44]]
)
def test_what_is_no_whole_audio_file_is_unreadable(hearing, network, content):
    with pytest.raises(UnreadableClipError):
        heard(content, hearing, network)


def test_nothing_is_computed_after_the_time_or_once_it_is_canceled(hearing, network, recording):
    batches = []

    def slow(spectrograms):
        batches.append(len(spectrograms))
        time.sleep(0.6)
        return network(spectrograms)

    with pytest.raises(TimeoutError):
        answer(Upload(recording.read_bytes(), 0.5), hearing, slow)
    assert len(batches) == 1, "of two: 77 windows"

    upload = Upload(recording.read_bytes(), 1e9)

    def cancel(spectrograms):
        upload.cancel()
        return network(spectrograms)

    with pytest.raises(TimeoutError):
        answer(upload, hearing, cancel)


def test_a_file_above_a_megabyte_is_not_read_after_the_time(hearing, network):
    upload = Upload(wav(tone(200.0, 60)), 1e9)
    assert len(upload.getvalue()) > 2**20
    upload.cancel()
    with pytest.raises(TimeoutError):
        answer(upload, hearing, network)


def test_a_single_sample_has_a_length(hearing, network):
    content = heard(wav(np.array([0.1])), hearing, network, with_spectrogram=True)
    assert content["duration_s"] == content["windows"][0]["end_s"] == 0.001


def test_a_model_that_cannot_be_used_is_refused(tmp_path):
    with pytest.raises(UserError, match="`model=.*none` does not exist"):
        hearing_of(locate(tmp_path / "none"))
