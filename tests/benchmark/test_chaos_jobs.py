from dataclasses import replace

import numpy as np
import pytest

from freqquest.benchmark.chaos_jobs import Outcome, unfinished_files
from freqquest.storage import locate

OUTCOME = Outcome(
    shards="abc",
    scores={"residual 3": (0.5, 1.25), "plain 3": (0.25, 2.0)},
    failures=[],
    submission=["dog_bark", "siren"],
    weights={"first": np.ones(4), "second": np.arange(3.0)},
    num_generated=10,
    unfinished=[],
)


def test_equal_outcomes_have_no_differences_and_rounding_does_not_count():
    rounded = replace(OUTCOME, weights={"first": np.ones(4) + 1e-5, "second": np.arange(3.0)})
    stopped = replace(
        OUTCOME, scores={"residual 3": (0.5, 1.25)}
    )  # the other trial was stopped early
    assert OUTCOME.differences(OUTCOME) == []
    assert rounded.differences(OUTCOME) == []
    assert stopped.differences(OUTCOME) == []


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        ({"shards": "abd"}, "other shards"),
        (
            {"scores": {"residual 3": (0.5, 1.5)}},
            "score and loss (0.5, 1.5), not (0.5, 1.25)",
        ),
        ({"failures": ["OSError: lost"]}, "a trial failed: OSError: lost"),
        ({"scores": {"other": (0.5, 1.25)}}, "no trial of the same configuration finished"),
        ({"submission": ["siren", "siren"]}, "another submission"),
        (
            {"weights": {"first": np.ones(4) * 1.5, "second": np.arange(3.0)}},
            "the generator's weights differ by 3.3e-01",
        ),
        (
            {"weights": {"first": np.array([1, 1, 1, np.nan]), "second": np.arange(3.0)}},
            "the generator's weights differ by nan",
        ),
        (
            {"weights": {"first": np.ones(5), "second": np.arange(3.0)}},
            "the generator's weights differ by inf",
        ),
        ({"weights": {}}, "the generator's weights differ by inf"),
        ({"num_generated": 9}, "9 generated clips, not 10"),
        ({"unfinished": ["run/.x-staged-1"]}, "unfinished: run/.x-staged-1"),
    ],
)
def test_every_difference_is_named(changes, difference):
    assert replace(OUTCOME, **changes).differences(OUTCOME) == [difference]


def test_hidden_and_unfinished_files_are_found(tmp_path):
    (tmp_path / "run").mkdir()
    names = ("run/.best_model.keras-staged-1", "run/member_0.keras.training", "run/metrics.json")
    for name in names:
        (tmp_path / name).touch()
    assert sorted(unfinished_files(locate(tmp_path))) == sorted(names[:2])
