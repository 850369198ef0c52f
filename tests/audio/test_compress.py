import io
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from freqquest.audio.compress import encode_mp3
from tests.conftest import tone


@pytest.mark.parametrize(
    ("rate_hz", "expected_hz"), [(22_050, 22_050), (10_000, 11_025), (96_000, 48_000)]
)
def test_a_sound_keeps_its_length_and_pitch_at_rates_that_mp3_lacks(rate_hz, expected_hz):
    time = np.arange(2 * rate_hz) / rate_hz
    content = encode_mp3(0.3 * np.sin(2 * np.pi * 1000 * time), rate_hz)
    decoded, decoded_hz = soundfile.read(io.BytesIO(content))
    assert decoded_hz == expected_hz
    assert len(decoded) / decoded_hz == pytest.approx(2, abs=0.1)
    strongest = np.abs(np.fft.rfft(decoded)).argmax() * decoded_hz / len(decoded)
    assert strongest == pytest.approx(1000, abs=5)
    assert decoded.std() == pytest.approx(0.3 / np.sqrt(2), rel=0.05)


@pytest.mark.parametrize("rate_hz", [22_050, 10_000])
def test_a_sound_of_any_level_is_encoded(rate_hz):
    # In a process of its own, because LAME ends it.
    script = f"""if True:
        import io
        import numpy as np
        import soundfile
        from freqquest.audio.compress import encode_mp3
        time = np.arange(2 * {rate_hz}) / {rate_hz}
        loud = 2.0**31 * np.sin(2 * np.pi * 500 * time)
        loud[[100, 200, 300]] = np.nan, np.inf, -np.inf
        decoded, _ = soundfile.read(io.BytesIO(encode_mp3(loud, {rate_hz})))
        print(decoded.std())
    """
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) == pytest.approx(1 / np.sqrt(2), rel=0.05)


def test_a_sound_takes_a_fraction_of_its_wav_file():
    assert len(encode_mp3(tone(440.0), 22_050)) < 4 * 22_050 * 2 / 6
