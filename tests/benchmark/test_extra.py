import numpy as np
import pytest

from freqquest.benchmark.extra import summarize
from tests.cnn.conftest import make_clips


def run(clips, rows, training, seed, num_wrong):
    """A training that is wrong about the first clips."""
    heard = clips.class_indices[rows].copy()
    heard[:num_wrong] = 1 - heard[:num_wrong]
    confusions = np.zeros((2, 2), int)
    np.add.at(confusions, (clips.class_indices[rows], heard), 1)
    return {
        "training": training,
        "seed": seed,
        "accuracy": 1 - num_wrong / len(rows),
        "confusions": confusions.tolist(),
        "seconds": [1.0],
        "rows": rows,
        "probabilities": np.eye(2)[heard],
    }


def test_the_difference_comes_with_its_errors_over_seeds_and_over_recordings():
    clips = make_clips()
    rows = np.flatnonzero(clips.is_validation)  # two recordings of four clips
    wrong = {("without", 0): 4, ("with", 0): 2, ("without", 1): 4, ("with", 1): 0}
    runs = [run(clips, rows, *which, num_wrong) for which, num_wrong in wrong.items()]
    summary = summarize(runs, clips)
    assert summary["without"]["accuracy"] == 0.5
    assert summary["with"]["recall"] == {"tones": 0.75, "clicks": 1.0}
    difference = summary["difference"]
    assert difference["by_seed"] == [0.25, 0.5]
    assert difference["accuracy"] == 0.375
    assert difference["standard_error_over_seeds"] == pytest.approx(0.125)
    assert difference["standard_error_over_recordings"] == pytest.approx(
        3 / 8
    )  # all of it from one recording
    assert summarize(runs[:2], clips)["difference"]["standard_error_over_seeds"] is None
