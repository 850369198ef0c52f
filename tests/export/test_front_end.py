"""The spectrogram in the graph is that of the audio room."""

from dataclasses import replace

import numpy as np
import pytest

from freqquest.audio.spectrogram import CGAN_VIEW, CNN_VIEW
from freqquest.audio.spectrogram import log_mel as log_mel_of_numpy
from freqquest.errors import UserError
from freqquest.export.front_end import log_mel, require_known_view

VIEWS = {
    "the recipe's": CNN_VIEW,
    "of 16 kHz": replace(CNN_VIEW, n_fft=1500, hop_length=375, num_frames=59),
    "with a hop that does not divide the window": replace(
        CNN_VIEW, n_fft=1000, hop_length=441, num_mels=40, num_frames=50
    ),
    "with a window of a prime length": replace(
        CNN_VIEW, n_fft=509, hop_length=100, num_mels=20, num_frames=221
    ),
    "with fewer frames than the clip": replace(CNN_VIEW, num_frames=20),
    "with more frames than the clip, and limits": replace(
        CNN_VIEW, num_frames=60, num_mels=32, min_frequency_hz=300, max_frequency_hz=8000
    ),
}


@pytest.mark.parametrize("name", VIEWS)
def test_spectrograms_are_equal_to_a_hundredth_of_a_decibel(name):
    rng = np.random.default_rng(0)
    tone = np.sin(0.1 * np.arange(22_050))
    loud, quiet = rng.normal(0, 0.3, 22_050), 1e-5 * rng.standard_normal(22_050)
    # In float32, bands 70 dB below a tone are exact to some thousandths of a decibel.
    clips = [loud, tone + quiet, tone * (np.arange(22_050) > 15_000), 0 * tone]
    waveforms = np.stack(clips).astype(np.float32)
    wanted = np.stack([log_mel_of_numpy(clip, VIEWS[name], 22_050) for clip in waveforms])
    given = np.asarray(log_mel(waveforms, VIEWS[name], 22_050))
    assert given.shape == (*wanted.shape, 1)
    np.testing.assert_allclose(given[..., 0], wanted, rtol=0, atol=1e-2)


def test_other_spectrograms_than_a_classifiers_are_refused_by_name():
    require_known_view(CNN_VIEW, "`model=m`")
    with pytest.raises(
        UserError, match="`model=m` has spectrograms of compression log1p, and only"
    ):
        require_known_view(CGAN_VIEW, "`model=m`")
    with pytest.raises(UserError, match="of padding reflect, and only constant can be exported"):
        require_known_view(replace(CNN_VIEW, padding="reflect"), "`model=m`")
