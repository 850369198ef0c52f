import subprocess
import sys

import pytest

from freqquest.audio.clip import ClipConfig


def test_a_clip_has_as_many_samples_as_its_rate_and_duration_give():
    assert ClipConfig(sample_rate_hz=8_000, duration_s=0.5).num_samples == 4_000


def test_an_impossible_form_is_refused():
    with pytest.raises(ValueError, match="`duration_s=0` must be above 0"):
        ClipConfig(duration_s=0)
    with pytest.raises(ValueError, match="`sample_rate_hz=10` must be between 1000 and 768000"):
        ClipConfig(sample_rate_hz=10)


def test_importing_the_module_loads_no_audio_library():
    code = (
        "import sys, freqquest.audio.clip; print({'soundfile', 'soxr', 'numpy'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
