import io

import matplotlib.image
import numpy as np
import pytest

from freqquest import plots


def test_names_may_look_like_formulas_and_use_any_script():
    names = ["a$_$b", "Ωδή", "警笛"]
    assert plots.counts(names, {"clips": {"train": [1, 2, 3]}}).ndim == 3
    assert plots.spectrogram_grid(dict.fromkeys(names, np.zeros((4, 5))), "title", 1.0).ndim == 3


def test_plots_are_rgb_pictures_and_encode_as_png():
    pictures = [
        plots.spectrogram_grid(
            {"a": np.zeros((128, 512)), "b": np.random.rand(128, 512)}, "title", 5.9
        ),
        plots.confusion_matrix(np.array([[3, 1], [0, 4]]), ["a", "b"], "title"),
        plots.best_so_far([0.0, 1.5, 2.0], [0.3, 0.7, 0.6], "title"),
        plots.bars({"mixup": 0.7, "dropout": 0.3}, "title"),
        plots.reliability({"as trained": (np.array([0.4, 0.8]), np.array([0.5, 0.9]))}, "title"),
        plots.precision_over_coverage([0.1, 0.6, 1.0], [1.0, 0.95, 0.7], "title"),
        plots.curves({"loss_D": [1.0, 0.5], "loss_G": [2.0, 3.0]}, "title", "epoch", "loss"),
        plots.curves_with_references(
            {"accuracy": ([0.2, 0.8], 0.9)}, "title", "epoch", "real clips", [5, 10]
        ),
    ]
    for picture in pictures:
        assert picture.ndim == 3
        assert picture.shape[2] == 3
        assert picture.dtype == np.uint8
        assert len(np.unique(picture)) > 10  # something was drawn
        assert (
            matplotlib.image.imread(io.BytesIO(plots.png(picture))).shape[:2] == picture.shape[:2]
        )


def test_many_curves_with_references_take_several_rows():
    def shape_of(count):
        series = {str(number): ([0.2, 0.8], 0.9) for number in range(count)}
        return plots.curves_with_references(series, "title", "epoch", "real clips", [5, 10]).shape

    assert shape_of(5)[1] > shape_of(4)[1] == shape_of(7)[1]
    assert shape_of(7)[0] > shape_of(5)[0] == shape_of(4)[0]


def test_confusions_are_counted_with_true_classes_as_rows():
    counts = plots.count_confusions(np.array([0, 0, 1, 2]), np.array([0, 1, 1, 0]), 3)
    assert counts.tolist() == [[1, 1, 0], [0, 1, 0], [1, 0, 0]]


def test_a_highlighted_curve_stands_out():
    series = {str(number): [0.1, 0.2 + number / 20] for number in range(12)}
    assert not np.array_equal(
        plots.curves(series, "title", "epoch", "accuracy"),
        plots.curves(series, "title", "epoch", "accuracy", highlight="3"),
    )


def test_a_spectrogram_without_axes_has_a_pixel_per_value_and_low_bands_at_the_bottom():
    values = np.array([[0, 1, 2], [200, 220, 255]], np.uint8)
    image = plots.spectrogram_image(values)
    assert image.shape == (2, 3, 3)
    assert image.dtype == np.uint8
    brightness = image.sum(axis=2, dtype=int)
    assert brightness[0].min() > brightness[1].max()
    assert np.isfinite(plots.spectrogram_image(np.full((2, 3), -80.0))).all()


@pytest.mark.parametrize("seconds", [5.0, 900.0, 86_400.0])
def test_events_are_drawn_over_a_spectrogram_whatever_its_length(seconds):
    values = np.random.default_rng(0).random((8, 50))
    boxes = {"a$_$b": [(0.0, seconds / 2)], "c": []}
    colors = {"a$_$b": "#00ff00", "c": "#ffffff"}
    drawn = plots.spectrogram_with_events(values, "a$_$b.wav", seconds, boxes, colors)
    empty = plots.spectrogram_with_events(values, "a$_$b.wav", seconds, {}, {})
    greens = [(picture == [0, 255, 0]).all(axis=2).sum() for picture in (drawn, empty)]
    assert greens[0] > 500
    assert greens[1] == 0
