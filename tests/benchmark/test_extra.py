import numpy as np
import pytest

from freqquest.benchmark.cnn_training import TrainedRun
from freqquest.benchmark.extra import ExtraRun, summarize
from tests.cnn.conftest import make_clips


def make_run(clips, rows, kind, seed, num_wrong):
    """Return a training that misclassifies the first clips."""
    predicted = clips.class_indices[rows].copy()
    predicted[:num_wrong] = 1 - predicted[:num_wrong]
    confusions = np.zeros((2, 2), int)
    np.add.at(confusions, (clips.class_indices[rows], predicted), 1)
    trained = TrainedRun(
        seed=seed,
        accuracy=1 - num_wrong / len(rows),
        confusions=confusions.tolist(),
        seconds=[1.0],
        accuracies=[],
        rows=rows,
        probabilities=np.eye(2)[predicted],
    )
    return ExtraRun(kind=kind, trained=trained)


def test_the_difference_comes_with_its_errors_over_seeds_and_over_recordings():
    clips = make_clips()
    rows = np.flatnonzero(clips.is_validation)  # two recordings of four clips
    wrong = {("without", 0): 4, ("with", 0): 2, ("without", 1): 4, ("with", 1): 0}
    runs = [make_run(clips, rows, *which, num_wrong) for which, num_wrong in wrong.items()]
    summary = summarize(runs, clips)
    assert summary["without"]["accuracy"] == 0.5
    assert summary["with"]["recall"] == {"tones": 0.75, "clicks": 1.0}
    difference = summary["difference"]
    assert difference["by_seed"] == [0.25, 0.5]
    assert difference["accuracy"] == 0.375
    assert difference["standard_error_over_seeds"] == pytest.approx(0.125)
    # One recording contributes all of the difference.
    assert difference["standard_error_over_recordings"] == pytest.approx(3 / 8)
    assert summarize(runs[:2], clips)["difference"]["standard_error_over_seeds"] is None


def test_json_has_everything_but_the_predictions():
    clips = make_clips()
    run = make_run(clips, np.flatnonzero(clips.is_validation), "with", seed=3, num_wrong=0)
    assert run.to_json() == {
        "training": "with",
        "seed": 3,
        "accuracy": 1.0,
        "confusions": [[4, 0], [0, 4]],
        "seconds": [1.0],
        "accuracies": [],
    }
