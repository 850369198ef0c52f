import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest
import soundfile

from freqquest.cnn.abstention import CoverageCurve, Point
from freqquest.cnn.classifier import Classifier
from freqquest.cnn.model_file import read_card
from freqquest.cnn.predict import predict_clips
from freqquest.errors import UserError
from tests.cnn.conftest import CLASSES
from tests.conftest import RATE_HZ, tone


@pytest.fixture(scope="module")
def classifier(model_file):
    return Classifier.load(model_file.path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three clips of different formats, rates and lengths, and a file that is not audio."""
    folder = tmp_path_factory.mktemp("clips")
    soundfile.write(folder / "a.wav", tone(200.0), RATE_HZ, subtype="FLOAT")
    soundfile.write(folder / "b.flac", tone(800.0, duration_s=1.0), 2 * RATE_HZ)
    soundfile.write(folder / "c.wav", np.stack([tone(3000.0, 6.0)] * 2, axis=1), RATE_HZ)
    (folder / "broken.wav").write_bytes(b"no audio at all")
    return folder


def paths_in(folder):
    return [str(folder / name) for name in ("a.wav", "broken.wav", "b.flac", "c.wav")]


def test_files_get_the_same_probabilities_as_from_the_predict_job(
    local_ray, classifier, model_file, folder
):
    paths = paths_in(folder)
    job = predict_clips(model_file, read_card(model_file), paths)
    table = classifier.predict(paths)
    columns = classifier.card.probability_columns
    assert table.columns.tolist() == ["path", "label", "probability", "reason", *columns]
    readable = table["reason"] == ""
    assert readable.tolist() == [True, False, True, True]
    assert table["path"].tolist() == paths
    assert table["label"][readable].tolist() == job["Class"][readable].tolist()
    assert table["reason"].tolist() == job["reason"].tolist()
    np.testing.assert_allclose(table[columns][readable], job[columns][readable], atol=1e-5)
    np.testing.assert_array_equal(
        table["probability"][readable], table[columns][readable].max(axis=1)
    )


def test_files_with_several_labels_get_all_that_reach_their_thresholds(
    local_ray, labels_file, folder
):
    classifier, paths = Classifier.load(labels_file.path), paths_in(folder)
    job = predict_clips(labels_file, classifier.card, paths)
    table = classifier.predict(paths)
    for labels in (table["label"], job["Class"]):
        assert labels[[0, 2, 3]].tolist() == ["high;middle"] * 3
    assert pd.isna(table["label"][1])
    assert job["Class"][1] == classifier.card.most_frequent_class
    columns = classifier.card.probability_columns
    np.testing.assert_allclose(table[columns].drop(1), job[columns].drop(1), atol=1e-5)
    assert not np.allclose(table[columns].drop(1).sum(axis=1), 1)


def test_an_unreadable_file_has_a_reason_and_no_prediction(classifier, folder):
    table = classifier.predict(paths_in(folder))
    broken = table.loc[1]
    assert "not readable as audio" in broken["reason"]
    assert broken[["label", "probability", *classifier.card.probability_columns]].isna().all()
    assert len(table.dropna()) == 3


def test_waveforms_get_the_same_probabilities_as_their_files(classifier, folder):
    expected = classifier.predict(folder / "a.wav")
    columns = ["label", "probability", *classifier.card.probability_columns]
    waveform = tone(200.0)
    for waveforms in (waveform, waveform[None], [waveform], [waveform.astype(np.float64)]):
        table = classifier.predict(waveforms, sample_rate_hz=RATE_HZ)
        assert table.columns.tolist() == columns
        np.testing.assert_allclose(table[columns[1:]], expected[columns[1:]], atol=1e-5)


def test_waveforms_may_have_any_lengths_and_come_in_several_batches(classifier):
    waveforms = [tone(200.0 + 40 * number, duration_s=1 + number % 3) for number in range(65)]
    table = classifier.predict(waveforms, sample_rate_hz=RATE_HZ)
    last = classifier.predict(waveforms[-1:], sample_rate_hz=RATE_HZ)
    columns = classifier.card.probability_columns
    assert len(table) == 65
    np.testing.assert_allclose(table[columns].tail(1), last[columns], atol=1e-5)


def test_threads_get_the_same_probabilities_and_so_does_a_pickled_copy(classifier):
    predict = partial(classifier.predict, sample_rate_hz=RATE_HZ)
    clips = [[tone(200.0 + 90 * number), tone(250.0 + 90 * number)] for number in range(12)]
    expected = pd.concat(map(predict, clips))
    with ThreadPoolExecutor(4) as threads:
        together = pd.concat(threads.map(predict, clips))
    pd.testing.assert_frame_equal(together, expected, rtol=1e-5)
    copy = pickle.loads(pickle.dumps(classifier))
    pd.testing.assert_frame_equal(copy.predict(clips[0], sample_rate_hz=RATE_HZ), expected[:2])


def test_no_clips_give_an_empty_table(classifier):
    assert classifier.classes == CLASSES
    assert classifier.predict([]).columns[:2].tolist() == ["path", "label"]
    assert len(classifier.predict(np.zeros((0, 5), np.float32), sample_rate_hz=RATE_HZ)) == 0


@pytest.mark.parametrize(
    ("clips", "rate_hz", "message"),
    [
        (np.zeros(9, np.float32), None, "waveforms need `sample_rate_hz`"),
        (["a.wav"], RATE_HZ, "audio files have their own rate: leave out `sample_rate_hz`"),
        (np.zeros(9, np.int16), RATE_HZ, "waveform 0 has dtype int16, but must be floating-point"),
        (np.zeros((2, 9, 2)), RATE_HZ, r"waveform 0 has shape \(9, 2\), but must be mono"),
        ([np.zeros(0)], RATE_HZ, "at least one sample"),
        ([np.zeros(9), np.full(9, np.nan)], RATE_HZ, "waveform 1 has NaN or infinite samples"),
    ],
)
def test_unusable_clips_are_refused(classifier, clips, rate_hz, message):
    with pytest.raises(ValueError, match=message):
        classifier.predict(clips, sample_rate_hz=rate_hz)


def test_loading_lets_tensorflow_take_gpu_memory_as_it_needs_it(model_file, monkeypatch):
    grown = []

    def grow(gpu, enable):
        grown.append((gpu, enable))
        raise RuntimeError("cannot be modified after being initialized")

    monkeypatch.setattr("tensorflow.config.list_physical_devices", lambda _: ["gpu"])
    monkeypatch.setattr("tensorflow.config.experimental.set_memory_growth", grow)
    Classifier.load(model_file.path)
    assert grown == [("gpu", True)]


def test_a_missing_model_is_refused(tmp_path):
    with pytest.raises(UserError, match="`path=.*nowhere.keras` does not exist: give the best"):
        Classifier.load(tmp_path / "nowhere.keras")


def test_prediction_needs_no_ray(model_file, folder):
    code = (
        "import sys\n"
        "from freqquest.cnn.classifier import Classifier\n"
        f"table = Classifier.load({model_file.path!r}).predict({paths_in(folder)!r})\n"
        "assert len(table) == 4\n"
        "assert 'ray' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_clips_may_be_unknown(classifier, folder):
    card = replace(
        classifier.card, coverage_curve=CoverageCurve([Point(0.0, 1.0, 0.8), Point(1.0, 0.1, 0.9)])
    )
    unsure = Classifier(classifier._model, card)
    paths = paths_in(folder)
    assert unsure.predict(paths)["label"].equals(classifier.predict(paths)["label"])
    table = unsure.predict(paths, unknown=True, precision=0.9)
    assert table["label"].fillna("").tolist() == ["unknown", "", "unknown", "unknown"]
    every = unsure.predict(paths, unknown=True, precision=0.8)["label"]
    assert every.equals(classifier.predict(paths)["label"])
    waves = unsure.predict([tone(200.0)], sample_rate_hz=RATE_HZ, unknown=True, precision=0.9)
    assert waves["label"].tolist() == ["unknown"]
    with pytest.raises(UserError, match="`precision=0.95` is not reached"):
        unsure.predict(paths, unknown=True)
    with pytest.raises(ValueError, match="`precision` needs `unknown=True`"):
        unsure.predict(paths, precision=0.8)
