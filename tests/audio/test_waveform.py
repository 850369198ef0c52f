import numpy as np

from freqquest.audio.waveform import fit_length


def test_short_waveforms_are_padded_and_long_ones_cut():
    assert fit_length(np.ones(3), 5).tolist() == [1, 1, 1, 0, 0]
    assert fit_length(np.ones(3), 2).tolist() == [1, 1]
