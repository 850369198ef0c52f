import dataclasses

import numpy as np
import pandas as pd
import pytest

from freqquest.runs import layout
from freqquest.runs.predictions import read_predictions, worth_a_look, write_predictions
from freqquest.storage import locate
from tests.runs.clips_run import make_predictions, make_predictions_of_several_labels


@pytest.mark.parametrize("make", [make_predictions, make_predictions_of_several_labels])
@pytest.mark.parametrize("end", ["", "\r"])
def test_predictions_are_read_as_they_were_written(tmp_path, make, end):
    written = make()
    places = written.places.assign(recording=f"=SUM(A1){end}", path=f"-5.wav{end}")  # no formulas
    written = dataclasses.replace(written, places=places)
    write_predictions(written, locate(tmp_path))
    assert "'=SUM(A1)" in (tmp_path / layout.PREDICTIONS_NAME).read_text()
    read = read_predictions(locate(tmp_path), written.has_several_labels)
    pd.testing.assert_frame_equal(read.places, written.places)
    assert read.classes == written.classes
    assert (read.labels == written.labels).all()
    assert (read.answers == written.answers).all()
    np.testing.assert_allclose(read.probabilities, written.probabilities, atol=1e-6)


def test_a_run_of_an_older_version_has_no_predictions(tmp_path):
    assert read_predictions(locate(tmp_path), has_several_labels=False) is None


def test_the_confidence_of_several_labels_is_that_of_the_decision_that_matters():
    predictions = make_predictions_of_several_labels()
    assert predictions.are_wrong.tolist() == [False, True, True]
    # The least sure right label; the surest missed one; the surest wrong one.
    assert predictions.confidences.tolist() == pytest.approx([0.6, 0.7, 0.9])


def test_the_surest_mistakes_come_first_and_then_the_least_sure_right_answers():
    assert worth_a_look(make_predictions()).tolist() == [3, 6, 2, 5, 8, 1, 4, 0, 7]


def test_of_too_many_mistakes_each_kind_keeps_its_surest_ones():
    true = (0,) * 1000 + (1,) * 2
    answers = (1,) * 1000 + (0,) * 2
    confidences = (*(0.9 - np.arange(1000) / 10_000), 0.5, 0.4)
    shown = worth_a_look(make_predictions(true, answers, confidences)).tolist()
    assert shown == [*range(298), 1000, 1001]


def test_of_too_many_right_answers_each_class_keeps_its_least_sure_ones():
    true = (0,) * 1000 + (1,)
    confidences = (*(0.5 + np.arange(1000) / 10_000), 0.95)
    shown = worth_a_look(make_predictions(true, true, confidences)).tolist()
    assert shown == [*range(199), 1000]
