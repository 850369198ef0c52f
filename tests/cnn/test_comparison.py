import numpy as np
import pytest

from freqquest.cnn.comparison import compare
from freqquest.cnn.heads import fit_on_split
from freqquest.cnn.labeled_clips import cross_validation
from tests.cnn.conftest import make_clips, with_vectors
from tests.cnn.search.conftest import make_outcome


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch):
    monkeypatch.setattr(
        "freqquest.cnn.comparison.fit_heads",
        lambda clips, splits: [fit_on_split(clips, split) for split in splits],
    )


def compared(choice, separation, right=0.75):
    clips = with_vectors(make_clips(), separation)
    splits = cross_validation(clips, 2, seed=0)
    trial = make_outcome("best", np.arange(32) % 4 < 4 * right)
    rows = np.concatenate([split.validation for split in splits])
    trial.__dict__["predictions"] = rows, trial.predictions[1][rows]
    return compare(choice, trial, clips, clips, splits)


def test_vectors_that_tell_the_classes_apart_are_used():
    comparison = compared("auto", separation=8.0)
    assert comparison.kept.kind in ("embedding", "fusion")
    scores = comparison.metrics["scores"]
    assert scores["cnn"] == 0.75
    assert scores["embedding"] == 1
    assert comparison.metrics["kept"] == comparison.kept.kind
    assert comparison.metrics["is_chosen"]
    assert {kind: len(each) for kind, each in comparison.metrics["scores_by_fold"].items()} == {
        "cnn": 1,  # as the trial reported it
        "embedding": 2,
        "fusion": 2,
    }
    assert len(comparison.heads) == 2


def test_vectors_of_noise_leave_the_cnn():
    comparison = compared("auto", separation=0.0, right=1.0)
    assert comparison.kept.kind == "cnn"
    assert comparison.metrics["scores"]["embedding"] < 0.8


@pytest.mark.parametrize("choice", ["embedding", "fusion"])
def test_a_classifier_that_was_asked_for_is_kept_whatever_its_score(choice):
    comparison = compared(choice, separation=0.0)
    assert comparison.kept.kind == choice
    assert not comparison.metrics["is_chosen"]
    assert set(comparison.metrics["scores"]) == {"cnn", "embedding", "fusion"}


def test_a_cnn_alone_fits_no_head():
    comparison = compared("cnn", separation=8.0)
    assert comparison.kept.kind == "cnn"
    assert comparison.heads == []
    assert comparison.metrics is None


def test_without_a_search_there_is_the_head_alone():
    clips = with_vectors(make_clips(), 8.0)
    comparison = compare("embedding", None, clips, clips, cross_validation(clips, 2, seed=0))
    assert comparison.kept.kind == "embedding"
    assert comparison.metrics["scores"] == {"embedding": 1.0}
