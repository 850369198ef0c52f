import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score

from freqquest.cnn.scores import best_threshold, score_of, standard_error
from tests.cnn.conftest import make_clips, make_clips_of_several_labels

ONE, SEVERAL = score_of(has_several_labels=False), score_of(has_several_labels=True)

LABELS = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 0], [1, 1, 0]], bool)
"""Labels of five clips; none has the third."""
PROBABILITIES = np.array(
    [[0.9, 0.6, 0.1], [0.4, 0.7, 0.2], [0.6, 0.3, 0.9], [0.2, 0.5, 0.3], [0.8, 0.8, 0.4]]
)


def test_datasets_name_their_score():
    assert make_clips().score.metric == "validation/accuracy"
    several = make_clips_of_several_labels().score
    assert (several.metric, several.title) == (
        "validation/mean_average_precision",
        "mean average precision",
    )


def test_accuracy_is_the_share_of_clips_whose_class_is_the_most_probable():
    labels = np.eye(3, dtype=bool)[[0, 1, 2, 0]]
    probabilities = np.array([[0.8, 0.1, 0.1], [0.5, 0.4, 0.1], [0, 0.1, 0.9], [0.4, 0.3, 0.3]])
    assert ONE.compute(probabilities, labels) == 0.75
    expected = -np.log([0.8, 0.4, 0.9, 0.4]).mean()
    assert ONE.loss(probabilities, labels) == pytest.approx(expected, abs=1e-5)
    assert ONE.mistakes(probabilities, labels) == [(1, 0)]


def test_mean_average_precision_is_scikit_learns_over_the_classes_that_clips_have():
    known = [0, 1]
    expected = average_precision_score(LABELS[:, known], PROBABILITIES[:, known], average="macro")
    # By hand: hits at ranks 1, 2, 4 of the first class, and at ranks 1, 2, 5 of the second.
    assert expected == pytest.approx(((1 + 1 + 3 / 4) / 3 + (1 + 1 + 3 / 5) / 3) / 2)
    assert SEVERAL.compute(PROBABILITIES, LABELS) == pytest.approx(expected)
    assert SEVERAL.compute(LABELS.astype(float), LABELS) == 1
    assert SEVERAL.compute(PROBABILITIES, np.zeros_like(LABELS)) == 0


def test_the_loss_of_several_labels_is_the_binary_cross_entropy():
    expected = -np.log(np.where(LABELS, PROBABILITIES, 1 - PROBABILITIES)).mean()
    assert SEVERAL.loss(PROBABILITIES, LABELS) == pytest.approx(expected, abs=1e-5)


def test_each_class_has_the_threshold_of_its_highest_f1():
    by_class = SEVERAL.by_class(PROBABILITIES, LABELS, ("a", "b", "c"))
    for index, label in enumerate("ab"):
        chosen = by_class[label]["threshold"]
        truth, of_class = LABELS[:, index], PROBABILITIES[:, index]
        best = max(f1_score(truth, of_class >= value) for value in of_class)
        assert f1_score(truth, of_class >= chosen) == pytest.approx(best)
        assert not np.isclose(of_class, chosen).any()  # between two clips
    assert by_class["a"]["threshold"] == pytest.approx(0.3)
    assert by_class["a"] | {"threshold": 0} == {
        "average_precision": pytest.approx((1 + 1 + 3 / 4) / 3),
        "threshold": 0,
        "precision": 0.75,
        "recall": 1,
        "support": 3,
    }
    unknown = by_class["c"]
    assert (unknown["average_precision"], unknown["threshold"], unknown["support"]) == (
        None,
        0.5,
        0,
    )


def test_a_threshold_below_all_clips_is_not_zero():
    assert best_threshold(np.array([0.4, 0.6]), np.array([True, True])) == pytest.approx(0.2)


def test_a_class_that_was_not_learned_is_not_given_to_most_clips():
    rng = np.random.default_rng(0)
    probabilities, is_true = rng.random(1000), rng.random(1000) < 0.02
    assert (probabilities >= best_threshold(probabilities, is_true)).sum() <= 2 * is_true.sum()
    assert best_threshold(np.full(10, 0.3), np.arange(10) == 0) == 0.5


def test_classes_are_measured_as_the_score_decides_even_after_calibration():
    probabilities = np.array([[0.49999997, 0.50000003]], np.float32)
    calibrated = ONE.apply_temperature(probabilities, 10.0)
    by_class = ONE.by_class(calibrated, np.array([[False, True]]), ("a", "b"))
    assert by_class["b"]["recall"] == 1


def test_the_worst_mistake_of_each_clip_is_a_label_that_is_wrong_or_missed():
    # 0.9 of a class that the third clip lacks; 0.4 of one that the second has, 0.6 of ones that
    # the first and third lack; the fourth has no label and no probability above one half.
    mistakes = SEVERAL.mistakes(PROBABILITIES, LABELS)
    assert mistakes[0] == (2, 2)
    assert {mistake.clip for mistake in mistakes} == {0, 1, 2}


@pytest.mark.parametrize("score", [ONE, SEVERAL])
def test_a_lead_within_one_recording_is_within_chance_and_one_in_all_is_not(score):
    recordings = np.repeat(np.arange(10), 4)
    labels = np.eye(2, dtype=bool)[np.arange(40) % 2]
    right = labels.astype(float)
    wrong = np.where(np.arange(40)[:, None] % 4 < 2, right, 1 - right)
    lucky = np.where(recordings[:, None] == 3, right, wrong)
    lead, error = score.lead(lucky, wrong, labels, recordings)
    assert 0 < lead <= 1.1 * error
    lead, error = score.lead(right, wrong, labels, recordings)
    assert lead > 2 * error
    lead, error = score.lead(lucky[12:16], wrong[12:16], labels[12:16], recordings[12:16])
    assert lead <= error


def test_the_standard_error_sums_over_recordings():
    assert standard_error(np.array([1, 1, -1]), np.array(["a", "a", "b"])) == pytest.approx(5**0.5)


def test_temperatures_of_several_labels_are_those_of_each_class():
    rng = np.random.default_rng(0)
    calibrated = rng.uniform(0.02, 0.98, (4000, 2))
    labels = rng.random(calibrated.shape) < calibrated
    wanted = [0.5, 2.0]
    seen = SEVERAL.apply_temperature(calibrated, wanted)
    logits = np.log(calibrated / (1 - calibrated)) / wanted
    np.testing.assert_allclose(seen, 1 / (1 + np.exp(-logits)), atol=1e-5)
    fitted = SEVERAL.fit_temperature(seen, labels)
    assert fitted == pytest.approx([2.0, 0.5], rel=0.1)
    confidence, accuracy, counts = SEVERAL.reliability(calibrated, labels)
    assert counts.sum() == 8000
    np.testing.assert_allclose(confidence, accuracy, atol=0.05)


def test_a_class_that_no_clip_has_keeps_its_probabilities():
    assert SEVERAL.fit_temperature(PROBABILITIES, LABELS)[2] == 1
