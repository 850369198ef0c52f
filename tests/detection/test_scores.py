"""Scores of detected events, by hand-computed cases."""

import json

import numpy as np
import pandas as pd
import pytest

from freqquest.detection.scores import count_segments, score_events

CLASSES = ("dog", "siren")
DURATIONS_S = {"a.wav": 10.0, "b.wav": 4.5}


def table(*rows):
    return pd.DataFrame(rows, columns=["path", "start_s", "end_s", "label"])


def score(events, references, durations_s=DURATIONS_S, classes=CLASSES, **settings):
    return score_events(table(*events), table(*references), durations_s, classes, **settings)


def counts(of_class):
    return (of_class["num_right"], of_class["num_detected"], of_class["num_annotated"])


def test_events_of_each_class_are_counted_and_averaged():
    scores = score(
        [
            ("a.wav", 1.1, 2.0, "dog"),  # right
            ("a.wav", 1.1, 2.0, "dog"),  # the same again
            ("a.wav", 5.5, 6.0, "dog"),  # late
            ("b.wav", 0.0, 3.5, "siren"),  # right
        ],
        [
            ("a.wav", 1.0, 2.0, "dog"),
            ("a.wav", 5.0, 6.0, "dog"),
            ("b.wav", 0.0, 3.0, "siren"),
        ],
    )["event_based"]
    assert scores["by_class"]["dog"] == {
        "precision": pytest.approx(1 / 3),
        "recall": 0.5,
        "f1": 0.4,
        "num_right": 1,
        "num_detected": 3,
        "num_annotated": 2,
    }
    assert counts(scores["by_class"]["siren"]) == (1, 1, 1)
    assert scores["micro"]["precision"] == 0.5
    assert scores["micro"]["recall"] == pytest.approx(2 / 3)
    assert scores["micro"]["f1"] == pytest.approx(4 / 7)
    assert scores["macro"] == {
        "precision": pytest.approx(2 / 3),
        "recall": 0.75,
        "f1": pytest.approx(0.7),
        "num_classes": 2,
    }


def test_events_of_other_recordings_or_labels_are_no_match():
    scores = score(
        [("a.wav", 1, 2, "dog"), ("b.wav", 3, 4, "siren")],
        [("b.wav", 1, 2, "dog"), ("b.wav", 3, 4, "dog")],
    )
    assert counts(scores["event_based"]["micro"]) == (0, 2, 2)
    assert counts(scores["segment_based"]["micro"]) == (0, 2, 2)


def test_events_outside_of_the_scored_recordings_and_classes_do_not_count():
    events = [("a.wav", 1, 2, "dog"), ("c.wav", 1, 2, "dog"), ("a.wav", 1, 2, "owl")]
    scores = score(events, [*events, ("c.wav", 5, 6, "dog")])
    assert counts(scores["event_based"]["micro"]) == (1, 1, 1)
    assert counts(scores["segment_based"]["micro"]) == (1, 1, 1)


def test_onsets_alone_are_scored_too():
    scores = score([("a.wav", 1, 9, "dog")], [("a.wav", 1, 2, "dog")])
    assert scores["event_based"]["micro"]["f1"] == 0
    assert scores["onset_based"]["micro"]["f1"] == 1


def test_the_collar_and_the_share_of_the_length_are_settings():
    detected, annotated = [("a.wav", 1.4, 4.5, "dog")], [("a.wav", 1, 4, "dog")]
    assert score(detected, annotated)["event_based"]["micro"]["f1"] == 0
    for settings in ({"collar_s": 0.5}, {"collar_s": 0.4, "offset_share": 0.2}):
        assert score(detected, annotated, **settings)["event_based"]["micro"]["f1"] == 1
    narrow = score(detected, annotated, collar_s=0.4, offset_share=0.1)
    assert narrow["event_based"]["micro"]["f1"] == 0
    assert (narrow["collar_s"], narrow["offset_share"]) == (0.4, 0.1)


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ((1.0, 2.0), (1, 1, 2)),  # touches the segments beside it
        ((0.9, 2.1), (2, 3, 2)),
        ((1.5, 2.5), (2, 2, 2)),
        ((9.5, 10.0), (0, 1, 2)),
        ((9.5, 12.0), (0, 1, 2)),  # beyond the end of the recording
        ((0.1 + 0.2 + 0.7, 3.0000000001), (2, 2, 2)),  # rounding errors
    ],
)
def test_a_segment_has_the_class_of_each_event_that_overlaps_it(event, expected):
    scores = score([("a.wav", *event, "dog")], [("a.wav", 1.2, 2.9, "dog")])
    assert counts(scores["segment_based"]["by_class"]["dog"]) == expected


def test_overlapping_events_of_a_class_make_a_segment_active_once():
    events = [("b.wav", 0.0, 1.5, "dog"), ("b.wav", 1.2, 2.0, "dog"), ("b.wav", 1.6, 1.8, "siren")]
    scores = score(events, events[1:])["segment_based"]
    assert counts(scores["by_class"]["dog"]) == (1, 2, 1)
    assert counts(scores["by_class"]["siren"]) == (1, 1, 1)


def test_overlapping_references_are_all_found():
    rows = [("a.wav", 1, 3, "dog"), ("a.wav", 1.1, 4, "dog"), ("a.wav", 1, 3, "siren")]
    assert counts(score(rows, rows)["event_based"]["micro"]) == (3, 3, 3)


def test_without_events_precision_is_unknown_and_recall_zero():
    scores = score([], [("a.wav", 1, 2, "dog")])
    for kind in ("event_based", "onset_based", "segment_based"):
        dog = scores[kind]["by_class"]["dog"]
        assert (dog["precision"], dog["recall"], dog["f1"]) == (None, 0, 0)
        assert scores[kind]["macro"]["precision"] == 0
        assert scores[kind]["macro"]["num_classes"] == 1
    assert scores["classes_without_references"] == ["siren"]


def test_without_references_only_the_number_of_events_is_known():
    scores = score([("a.wav", 1, 2, "dog")], [], probabilities=probabilities())
    for kind in ("event_based", "onset_based", "segment_based"):
        dog = scores[kind]["by_class"]["dog"]
        assert (dog["precision"], dog["recall"], dog["f1"]) == (0, None, 0)
        assert scores[kind]["macro"] == dict.fromkeys(("precision", "recall", "f1")) | {
            "num_classes": 0
        }
    assert scores["segment_average_precision"] == {
        "by_class": {"dog": None, "siren": None},
        "mean": None,
        "num_classes": 0,
    }


def test_without_both_nothing_is_known():
    micro = score([], [])["event_based"]["micro"]
    assert (micro["precision"], micro["recall"], micro["f1"]) == (None, None, None)


def test_a_class_without_references_counts_in_the_sums_but_not_in_the_mean_of_classes():
    scores = score([("a.wav", 1, 2, "dog"), ("a.wav", 3, 4, "siren")], [("a.wav", 1, 2, "dog")])[
        "event_based"
    ]
    assert scores["micro"]["precision"] == 0.5
    assert scores["macro"]["f1"] == 1


def probabilities(**dogs):
    """Probabilities `[N, K]` of the segments; those of siren are zero."""
    of_files = {"a.wav": np.zeros((10, 2)), "b.wav": np.zeros((5, 2))}
    for name, values in dogs.items():
        of_files[f"{name}.wav"][: len(values), 0] = values
    return of_files


def test_average_precision_ranks_the_segments_of_all_recordings():
    # By probability: right (b), wrong (a), right (a), right (b): 1/3 * (1/1 + 2/3 + 3/4).
    scores = score(
        [],
        [("a.wav", 1.0, 2.0, "dog"), ("b.wav", 0.5, 1.5, "dog")],
        probabilities=probabilities(a=[0.8, 0.7], b=[0.9, 0.6]),
    )["segment_average_precision"]
    assert scores["by_class"] == {"dog": pytest.approx((1 + 2 / 3 + 3 / 4) / 3), "siren": None}
    assert scores["mean"] == scores["by_class"]["dog"]
    assert scores["num_classes"] == 1


def test_probabilities_of_another_number_of_segments_are_refused():
    wrong = probabilities() | {"b.wav": np.zeros((4, 2))}
    with pytest.raises(ValueError, match=r"b.wav have the shape \(4, 2\), but must have \(5, 2\)"):
        score([], [], probabilities=wrong)


@pytest.mark.parametrize(
    ("duration_s", "segment_s", "number"),
    [(10.0, 1.0, 10), (10.2, 1.0, 11), (0.3, 1.0, 1), (0.3, 0.1, 3), (3 * 0.1, 0.1, 3)],
)
def test_the_last_segment_may_be_shorter(duration_s, segment_s, number):
    assert count_segments(duration_s, segment_s) == number


def random_events(random, num_events):
    starts = random.uniform(0, 100, num_events).round(1)
    return pd.DataFrame(
        {
            "path": random.choice(["a.wav", "b.wav", "c.wav"], num_events),
            "start_s": starts,
            "end_s": starts + random.uniform(0.1, 5, num_events).round(1),
            "label": random.choice(["dog", "owl", "siren"], num_events),
        }
    )


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_rows_recordings_and_classes_changes_nothing(seed):
    random = np.random.default_rng(seed)
    tables = random_events(random, 400), random_events(random, 400)
    durations_s = {"a.wav": 100.0, "c.wav": 99.5}
    classes = ("dog", "siren")
    of_segments = {path: random.uniform(size=(100, 2)).round(1) for path in durations_s}
    scores = score_events(*tables, durations_s, classes, probabilities=of_segments)
    shuffled = score_events(
        *(table.sample(frac=1, random_state=seed) for table in tables),
        dict(reversed(durations_s.items())),
        classes[::-1],
        probabilities={path: values[:, ::-1] for path, values in of_segments.items()},
    )
    assert scores == shuffled
    assert 0 < scores["event_based"]["micro"]["f1"] < 1
    assert 0 < scores["segment_average_precision"]["mean"] < 1


def test_scores_may_be_written_as_json():
    scores = score(
        [("a.wav", 1, 2, "dog")], [("a.wav", 1, 2, "dog")], probabilities=probabilities()
    )
    assert json.loads(json.dumps(scores, allow_nan=False)) == scores
