import json

import pytest

from freqquest.cgan.evaluation import (
    Evaluation,
    as_dict,
    for_metrics,
    format_evaluation,
    format_table,
)
from freqquest.cgan.real_clips import CLASSIFIER, Space
from freqquest.cgan.realism import RealismMetrics, measure_real_baseline, measure_realism
from tests.cgan.test_realism import CLASSES, clips, real

__all__ = ["real"]  # a fixture

NETWORK = Space(name="embedding", note="by a network", num_axes=None)


def metrics(overall, by_class, space=CLASSIFIER):
    """Metrics with these kernel distances, of all clips and of classes."""
    return RealismMetrics(
        num_clips=8,
        overall={"kernel": overall},
        by_class={str(number): {"kernel": value} for number, value in enumerate(by_class)},
        space=space,
    )


def test_the_mixture_is_the_mean_of_spaces_of_all_clips_and_of_classes():
    own, by_network = metrics(0.2, [0.1, 0.7]), metrics(0.0, [0.2, 0.2], NETWORK)
    assert Evaluation([own]).mixture == pytest.approx((0.2 + 0.4) / 2)
    expected = ((0.2 + 0.4) / 2 + (0.0 + 0.2) / 2) / 2
    assert Evaluation([own, by_network]).mixture == pytest.approx(expected)


def test_neither_a_neglected_class_nor_one_space_alone_wins():
    even = Evaluation([metrics(0.1, [0.1, 0.1]), metrics(0.1, [0.1, 0.1], NETWORK)])
    neglecting = Evaluation([metrics(0.1, [0.0, 0.5]), metrics(0.1, [0.0, 0.5], NETWORK)])
    one_sided = Evaluation([metrics(0.0, [0.0, 0.0]), metrics(0.4, [0.4, 0.4], NETWORK)])
    assert even.mixture < min(neglecting.mixture, one_sided.mixture)


def test_the_mixture_is_of_the_distances_that_are_known():
    assert Evaluation([metrics(0.2, [None, None])]).mixture == 0.2
    assert Evaluation([metrics(0.2, [None, 0.4])]).mixture == pytest.approx(0.3)
    unknown = Evaluation([metrics(None, [None])])
    assert unknown.mixture is None
    assert unknown.scalars() == {}


def test_metrics_have_tags_for_logs_by_their_space():
    evaluation = Evaluation([metrics(0.2, [0.1, None]), metrics(0.0, [0.2, 0.2], NETWORK)])
    overall = {"judge/mixture": evaluation.mixture, "judge/kernel": 0.2, "embedding/kernel": 0.0}
    assert evaluation.overall() == overall
    by_class = {"judge_kernel/0": 0.1, "embedding_kernel/0": 0.2, "embedding_kernel/1": 0.2}
    assert evaluation.scalars() == overall | by_class


def test_metrics_json_has_the_spaces_with_their_notes_and_the_mixture():
    generated, baseline, of_epochs = (
        Evaluation([metrics(value, [value]), metrics(value + 1, [value], NETWORK)])
        for value in (0.5, 0.25, 0.125)
    )
    content = json.loads(json.dumps(for_metrics(generated, baseline, of_epochs)))
    assert content["judge"] == {
        "num_clips": 8,
        "overall": {"kernel": 0.5},
        "by_class": {"0": {"kernel": 0.5}},
        "note": CLASSIFIER.note,
    }
    assert content["baseline"]["overall"] == {"kernel": 0.25}
    assert content["baseline_of_epochs"] == {"kernel": 0.125}
    assert content["embedding"]["judge"]["note"] == "by a network"
    assert content["embedding"]["baseline"]["overall"] == {"kernel": 1.25}
    assert content["embedding"]["baseline_of_epochs"] == {"kernel": 1.125}
    assert content["mixture"]["judge"] == generated.mixture
    assert content["mixture"]["baseline_of_epochs"] == of_epochs.mixture
    assert "embedding" not in for_metrics(*(Evaluation([metrics(0, [0])]),) * 3)


def test_unknown_metrics_are_null_in_json(real):
    content = json.loads(json.dumps(as_dict(measure_realism(clips(1, seed=3), real))))
    assert content["by_class"]["siren"]["frechet"] is None
    assert content["overall"]["accuracy"] == 1.0
    assert "not comparable with published FAD" in content["note"]


def test_the_table_has_generated_clips_beside_the_baseline(real):
    lines = format_table(
        measure_realism(clips(1, seed=3), real), measure_real_baseline(real, 1)
    ).splitlines()
    assert [line.split()[0] for line in lines[1:-1]] == ["overall", *CLASSES]
    assert lines[0].split()[3:] == [
        *("accuracy", "kernel", "frechet", "diversity", "density", "coverage"),
        *("nearest_ratio", "copying", "memorized"),
    ]
    assert lines[1].split()[1:4] == ["1.000", "|", "0.875"]
    assert lines[2].split()[4:7] == ["-", "|", "-"]
    assert lines[-1] == CLASSIFIER.note


def test_there_is_a_table_of_each_space_below_the_mixture():
    generated, baseline = (
        Evaluation([metrics(value, [value]), metrics(value, [value], NETWORK)])
        for value in (0.5, 0.25)
    )
    mixture, *tables = format_evaluation(generated, baseline).split("\n\n")
    assert mixture.startswith("mixture, generated | real: 0.500 | 0.250; it chooses the epoch")
    assert [table.splitlines()[-1] for table in tables] == [CLASSIFIER.note, "by a network"]
