"""Comparison of an exported model with its original, and the table of it."""

import dataclasses

import numpy as np
import pytest

from freqquest.errors import UserError
from freqquest.export.agreement import (
    ExportReport,
    Measurement,
    compare_classifiers,
    largest_difference,
    require_agreement,
)
from freqquest.export.clips import LabeledWaveforms
from tests.cnn.conftest import make_card

REPORT = ExportReport(
    names=("keras", "onnx"),
    num_bytes=(1_660_000, 1_990_000),
    measurements=(
        Measurement(ms_per_clip=5.04, score=0.75),
        Measurement(ms_per_clip=6.5, score=0.7, largest_difference=2e-5, equal_answers=0.995),
    ),
    clips="182 clips",
    unit="probability",
    score_title="accuracy",
)


def test_the_table_has_a_line_for_each_model():
    assert str(REPORT).splitlines() == [
        "model  MB    ms a clip  largest difference (probability)  same answers  accuracy",
        "keras  1.66  5.0                                                        0.750",
        "onnx   1.99  6.5        2.0e-05                           99.5%         0.700",
        "on 182 clips, one at a time; processor time",
    ]


def test_the_table_leaves_out_what_was_not_measured():
    measurements = Measurement(ms_per_clip=5), Measurement(ms_per_clip=6, largest_difference=0.1)
    report = dataclasses.replace(REPORT, measurements=measurements, unit="dB")
    assert str(report).splitlines()[0].split("  ")[-1] == "largest difference (dB)"


@pytest.mark.parametrize("difference", [2e-3, float("inf")])
def test_a_model_that_differs_is_refused(difference):
    require_agreement(REPORT)
    original, exported = REPORT.measurements
    differing = dataclasses.replace(exported, largest_difference=difference)
    report = dataclasses.replace(REPORT, measurements=(original, differing))
    with pytest.raises(
        UserError, match=r"onnx differs from keras by .*more than 0.001: nothing is"
    ):
        require_agreement(report)


def test_what_is_no_number_differs_infinitely():
    assert largest_difference(np.zeros(2), np.array([0, np.nan])) == np.inf
    assert largest_difference(np.zeros(2), np.array([0.25, -0.5])) == 0.5


def test_classifiers_are_compared_by_probabilities_answers_and_accuracy():
    outputs = iter(np.array([[0.1, 0.9], [0.1, 0.9], [0.2, 0.8], [0.6, 0.4]]))
    clips = LabeledWaveforms(
        waveforms=[np.zeros(1)] * 3, labels=np.array([[0, 1], [0, 1], [0, 1]], bool), source=""
    )
    original, exported = compare_classifiers(
        lambda _: np.array([[0.1, 0.9]]),
        lambda _: next(outputs)[None],
        clips,
        make_card(["a", "b"]),
    )
    assert original.score == 1
    assert original.largest_difference is None
    assert exported.score == pytest.approx(2 / 3)
    assert exported.equal_answers == pytest.approx(2 / 3)
    assert exported.largest_difference == pytest.approx(0.5)
    assert exported.ms_per_clip >= 0
