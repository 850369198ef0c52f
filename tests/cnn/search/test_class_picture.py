import numpy as np

from freqquest import plots
from freqquest.cnn.search.class_picture import draw_classes
from tests.cnn.conftest import make_clips, make_clips_of_several_labels


def test_one_label_a_clip_has_a_confusion_matrix_and_several_have_metrics_by_class(monkeypatch):
    drawn = []
    confusion_matrix, bars_and_dots = plots.confusion_matrix, plots.bars_and_dots
    monkeypatch.setattr(
        plots, "confusion_matrix", lambda *a: (drawn.append(a[0]), confusion_matrix(*a))[1]
    )
    monkeypatch.setattr(plots, "bars_and_dots", lambda *a: (drawn.append(a), bars_and_dots(*a))[1])
    rows = np.arange(8)
    for clips in (make_clips(), make_clips_of_several_labels()):
        probabilities = np.where(clips.labels[rows], 0.8, 0.3)
        picture = draw_classes(clips, rows, probabilities, "title")
        assert picture.ndim == 3
        assert picture.dtype == np.uint8
    counts, (names, (_, precisions), dots, _) = drawn
    np.testing.assert_array_equal(counts, [[4, 0], [0, 4]])
    assert names == ["tones (4)", "clicks (8)"]
    assert precisions == [1, 1]
    assert set(dots) == {"precision", "recall", "threshold"}
