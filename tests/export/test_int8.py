"""A classifier whose network computes in 8 bits, between floats."""

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from freqquest.cnn.model_file import load_model, read_card
from freqquest.export.int8 import to_int8
from freqquest.export.runtimes import load
from freqquest.storage import locate
from tests.export.conftest import probabilities, waveforms, write_model


def test_a_network_in_8_bits_has_close_probabilities_between_a_front_end_and_an_end_of_floats(
    tmp_path,
):
    file = write_model(locate(tmp_path / "m.keras"), several=True, num_members=2)
    card, clips = read_card(file), waveforms(read_card(file), num_clips=8)
    spectrograms = [card.spectrogram(clip, card.clip.sample_rate_hz) for clip in clips]
    content = to_int8(load_model(file), card, np.stack(spectrograms).astype(np.float16))
    (tmp_path / "model").write_bytes(content)
    given = load("litert", tmp_path / "model")(waveform=clips)
    wanted = probabilities(file, card, clips)
    assert np.ptp(wanted, axis=0).max() > 0.1, "the clips differ"
    assert 1e-6 < np.abs(given - wanted).max() < 0.02
    details = Interpreter(model_content=content).get_tensor_details()
    in_8_bits = [each["shape"].tolist() for each in details if each["dtype"] is np.int8]
    assert [32, 43, 1] in [shape[1:] for shape in in_8_bits], "the network's input"
    assert max(size for shape in in_8_bits for size in shape) < 64, "no frames and no spectra"
