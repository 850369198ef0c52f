from pathlib import Path

import numpy as np

from freqquest.audio.decode import load_clip
from freqquest.audio.spectrogram import log_mel
from freqquest.benchmark.preprocess_recipe import cgan_recipe, cnn_recipe
from freqquest.dataset.views import RECIPE_CLIP as CLIP
from freqquest.dataset.views import RECIPE_VIEWS as VIEWS


def test_the_recipes_loops_make_the_same_spectrograms_as_freqquest(audio_dir):
    paths = sorted(map(str, audio_dir.rglob("*.wav")))[::7]
    for view, spectrograms in (
        ("cnn", cnn_recipe(paths)),
        ("cgan", cgan_recipe(paths)[:, 0].numpy()),
    ):
        for path, spectrogram in zip(paths, spectrograms, strict=True):
            with Path(path).open("rb") as stream:
                waveform = load_clip(stream, CLIP).waveform
            found = log_mel(waveform, VIEWS[view], CLIP.sample_rate_hz)
            np.testing.assert_allclose(found, spectrogram, atol=2e-3)
