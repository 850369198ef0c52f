import ast
from pathlib import Path

import numpy as np
import pytest
import soundfile

from freqquest.audio.decode import load_clip
from freqquest.audio.spectrogram import log_mel
from freqquest.benchmark import preprocess_limit
from freqquest.benchmark.preprocess_limit import FROZEN_VIEWS, frozen_log_mel, frozen_waveform
from freqquest.dataset.views import RECIPE_CLIP, RECIPE_VIEWS
from tests.conftest import RATE_HZ, tone


@pytest.mark.parametrize(
    ("name", "rate_hz", "num_channels"),
    [
        ("clip.wav", RATE_HZ, 1),
        ("clip.flac", RATE_HZ, 1),
        ("stereo.flac", 44_100, 2),
        ("clip.ogg", RATE_HZ, 1),
        ("clip.mp3", RATE_HZ, 1),
    ],
)
@pytest.mark.parametrize("duration_s", [1.5, 6.0])
def test_the_frozen_loop_makes_the_spectrograms_of_the_package(
    name, rate_hz, num_channels, duration_s, tmp_path
):
    path = tmp_path / name
    sound = tone(440.0, duration_s)
    soundfile.write(path, np.stack([sound] * num_channels, axis=1), rate_hz)
    frozen = frozen_waveform(str(path))
    with path.open("rb") as stream:
        waveform = load_clip(stream, RECIPE_CLIP).waveform
    np.testing.assert_allclose(frozen, waveform, atol=1e-6)
    for view, config in RECIPE_VIEWS.items():
        np.testing.assert_allclose(
            frozen_log_mel(frozen, FROZEN_VIEWS[view]),
            log_mel(waveform, config, RECIPE_CLIP.sample_rate_hz),
            rtol=1e-4,
            atol=1e-3,
        )


def test_the_frozen_loop_uses_no_code_that_will_become_faster():
    tree = ast.parse(Path(preprocess_limit.__file__).read_text())
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name for name in imported if name.startswith("freqquest")} == {
        "freqquest.cluster.cores"
    }
