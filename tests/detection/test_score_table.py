"""Scores as a table for the console."""

from freqquest.detection.score_table import describe_scores
from tests.detection.test_scores import probabilities, score

SCORES = (
    [("a.wav", 1, 2.5, "dog"), ("b.wav", 3, 4, "dog")],
    [("a.wav", 1, 2, "dog"), ("b.wav", 3, 4, "dog")],
)


def test_each_class_has_a_line_and_the_tolerances_are_said():
    lines = describe_scores(score(*SCORES)).splitlines()
    titles = "class annotated detected precision recall F1 onset F1 segment F1"
    assert " ".join(lines[0].split()) == titles
    assert lines[1].split() == ["dog", "2", "2", "0.500", "0.500", "0.500", "1.000", "0.800"]
    assert lines[2].split() == ["siren", "0", "0", "-", "-", "-", "-", "-"]
    assert lines[3].split()[2:] == ["2", "2", "0.500", "0.500", "0.500", "1.000", "0.800"]
    assert lines[4].split()[3:] == ["0.500", "0.500", "0.500", "1.000", "0.800"]
    assert len({len(line) for line in lines[:5]}) == 1
    assert lines[5:] == [
        "an event is right if its onset is within 0.2 s and its offset within 0.2 s or 20% of the "
        "annotation's length",
        "2 recordings, 0.2 minutes, in segments of 1 s",
        "classes without an annotation, not in the mean of classes: siren",
    ]


def test_average_precisions_have_a_column_if_there_are_probabilities():
    given = probabilities(a=[0, 0.9], b=[0, 0, 0, 0.8])
    lines = describe_scores(score(*SCORES, probabilities=given)).splitlines()
    assert lines[0].endswith(" segment AP")
    assert [line.split()[-1] for line in lines[1:5]] == ["1.000", "-", "0.800", "1.000"]
    assert lines[3].rstrip() == lines[3]
