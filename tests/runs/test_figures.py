import io

import matplotlib.image
import numpy as np

from freqquest.runs import figures


def test_names_may_look_like_formulas_or_be_of_any_script():
    names = ["a$_$b", "Ωδή", "警笛"]
    assert figures.counts(names, {"clips": {"train": [1, 2, 3]}}).ndim == 3
    assert figures.spectrogram_grid(dict.fromkeys(names, np.zeros((4, 5))), "title", 1.0).ndim == 3


def test_pictures_are_rgb_and_become_png_files():
    pictures = [
        figures.spectrogram_grid({"a": np.zeros((128, 512)), "b": np.random.rand(128, 512)}, "title", 5.9),
        figures.confusion_matrix(np.array([[3, 1], [0, 4]]), ["a", "b"], "title"),
        figures.curves({"loss_D": [1.0, 0.5], "loss_G": [2.0, 3.0]}, "title", "epoch", "loss"),
    ]
    for picture in pictures:
        assert picture.ndim == 3
        assert picture.shape[2] == 3
        assert picture.dtype == np.uint8
        assert len(np.unique(picture)) > 10  # something was drawn
        assert matplotlib.image.imread(io.BytesIO(figures.png(picture))).shape[:2] == picture.shape[:2]
