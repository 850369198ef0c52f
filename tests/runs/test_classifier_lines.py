import pytest

from freqquest.runs.classifier_lines import class_table, classifier_lines

CNN = {
    "accuracy": 0.9,
    "accuracy_by_fold": [0.9],
    "num_clips": 20,
    "num_recordings": 10,
    "num_trials": 1,
    "cnn_config": {"schedule": "one_cycle"},
    "split": "by recordings",
    "classifiers": {
        "kept": "fusion",
        "is_chosen": True,
        "scores": {"cnn": 0.8, "embedding": 0.85, "fusion": 0.9},
        "scores_by_fold": {},
    },
}
HEADLINE = "classifier's accuracy: 0.900 on 20 validation clips of 10 recordings (by recordings)"
SCORES = "(CNN on spectrograms 0.800, head on the embedding 0.850, fusion of both 0.900)"


@pytest.mark.parametrize(
    ("is_chosen", "expected"),
    [
        (
            True,
            [
                f"{HEADLINE}; the same clips chose the classifier",
                f"kept: fusion of both, by their accuracy on the same clips {SCORES}",
            ],
        ),
        (False, [HEADLINE, f"kept: fusion of both, as set {SCORES}"]),
    ],
)
def test_the_classifiers_are_compared_in_a_line_that_says_what_chose_one(is_chosen, expected):
    classifiers = CNN["classifiers"] | {"is_chosen": is_chosen}
    assert classifier_lines(CNN | {"classifiers": classifiers}) == expected


def test_a_head_without_a_search_has_no_settings_of_a_cnn():
    assert classifier_lines(
        {name: value for name, value in CNN.items() if name != "classifiers"}
        | {"cnn_config": {}, "num_trials": 0}
    ) == [HEADLINE]


def test_a_run_without_a_classifier_has_no_table_of_its_classes():
    assert class_table({}) == []
