import io
import os

import librosa
import numpy as np
import pytest
import soundfile

from freqquest.audio.files import ClipConfig, UnreadableClipError, encode_wav, fit_length, is_audio, load_clip
from tests.conftest import RATE_HZ, tone

CLIP = ClipConfig()


def as_file(samples: np.ndarray, rate: int, **options: str) -> io.BytesIO:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, **{"format": "WAV"} | options)
    buffer.seek(0)
    return buffer


def test_a_clip_is_read_as_librosa_reads_it(tmp_path):
    stereo = np.stack([tone(440.0), tone(660.0, seed=1)], axis=1)
    soundfile.write(tmp_path / "a.wav", stereo, 44_100)  # half as long, at twice the rate
    with (tmp_path / "a.wav").open("rb") as stream:
        ours = load_clip(stream, CLIP)
    expected, _ = librosa.load(tmp_path / "a.wav", sr=RATE_HZ, mono=True)
    assert ours.shape == (88_200,)
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours[: expected.shape[0]], expected, atol=1e-4)
    assert not ours[expected.shape[0] :].any()


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3", "aiff", "au"])
def test_every_format_is_read(tmp_path, suffix):
    path = tmp_path / f"clip.{suffix}"
    soundfile.write(path, tone(440.0), RATE_HZ)
    with path.open("rb") as stream:
        clip = load_clip(stream, CLIP)
    assert clip.shape == (88_200,)
    assert 0.15 < np.sqrt(np.mean(np.square(clip))) < 0.25


def test_only_the_part_that_is_kept_is_decoded():
    ten_minutes = as_file(np.zeros(600 * 8_000, np.float32), 8_000, format="FLAC")
    assert load_clip(ten_minutes, CLIP).shape == (88_200,)
    long = as_file(np.concatenate([tone(440.0), tone(3000.0)]), RATE_HZ)
    np.testing.assert_allclose(load_clip(long, CLIP), tone(440.0), atol=1e-4)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not readable as audio"),
        (os.urandom(4096), "not readable as audio"),
        (as_file(np.zeros(0, np.float32), RATE_HZ).getvalue(), "no samples"),
        (as_file(np.full(100, np.nan, np.float32), RATE_HZ, subtype="FLOAT").getvalue(), "NaN or infinite"),
        (as_file(np.zeros(100, np.float32), 2_000_000).getvalue(), "sample rate 2000000 Hz"),
    ],
    ids=["empty", "not audio", "header only", "NaN", "absurd rate"],
)
def test_unusable_files_are_refused_with_the_reason(content, reason):
    with pytest.raises(UnreadableClipError, match=reason):
        load_clip(io.BytesIO(content), CLIP)


def test_lengths_are_fitted_by_silence_and_by_cutting():
    assert fit_length(np.ones(3), 5).tolist() == [1, 1, 1, 0, 0]
    assert fit_length(np.ones(3), 2).tolist() == [1, 1]


def test_wav_files_are_16_bit_and_keep_the_sound():
    data, rate = soundfile.read(io.BytesIO(encode_wav(tone(440.0), RATE_HZ)), dtype="float32")
    assert rate == RATE_HZ
    assert soundfile.info(io.BytesIO(encode_wav(tone(440.0), RATE_HZ))).subtype == "PCM_16"
    np.testing.assert_allclose(data, tone(440.0), atol=1 / 32_000)


def test_audio_is_known_by_its_ending_in_any_case():
    assert is_audio("a.WAV")
    assert is_audio("Straße 1.Flac")
    assert not is_audio("notes.txt")


def test_an_impossible_form_is_refused():
    with pytest.raises(ValueError, match="duration_s=0 must be above 0"):
        ClipConfig(duration_s=0)
    with pytest.raises(ValueError, match="sample_rate_hz=10 must be between"):
        ClipConfig(sample_rate_hz=10)
