import io
import struct
import tracemalloc

import librosa
import numpy as np
import pytest
import soundfile

from freqquest.audio.clip import ClipConfig
from freqquest.audio.decode import (
    Clip,
    UnreadableClipError,
    encode_wav,
    is_audio,
    load_clip,
)
from tests.conftest import RATE_HZ, tone

CLIP = ClipConfig()


def as_file(samples: np.ndarray, rate: int, **options: str) -> io.BytesIO:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, **{"format": "WAV"} | options)
    buffer.seek(0)
    return buffer


def load_bytes(content: bytes) -> Clip:
    return load_clip(io.BytesIO(content), CLIP)


def sine(rate: int, duration_s: float = 0.5) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * 440 * np.arange(round(duration_s * rate)) / rate)).astype(
        np.float32
    )


def assert_is_the_sine(clip: Clip, rate: int, tolerance: float) -> None:
    assert (clip.waveform.shape, clip.waveform.dtype) == ((88_200,), np.float32)
    assert clip.sample_rate_hz == rate
    assert clip.duration_s == pytest.approx(0.5, abs=1e-3)
    inner = slice(2_000, 9_000)  # encoders and resamplers disturb the edges
    np.testing.assert_allclose(clip.waveform[inner], sine(RATE_HZ)[inner], atol=tolerance)
    assert not clip.waveform[11_200:].any()


def chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)


def wav_bytes(*chunks: bytes, bits: int = 16, riff_size: int | None = None) -> bytes:
    """Return a mono WAV file at 8 kHz with these chunks."""
    form = struct.pack("<HHIIHH", 1, 1, 8_000, 8_000 * bits // 8, bits // 8, bits)
    body = b"WAVE" + chunk(b"fmt ", form) + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body) if riff_size is None else riff_size) + body


SOUND = chunk(b"data", sine(8_000).tobytes()[:8_000])
MANY_TEXTS = chunk(b"LIST", b"INFO" + chunk(b"ICMT", b"x" * 200) * 60)


def test_a_clip_is_decoded_like_librosa(tmp_path):
    stereo = np.stack([tone(440.0), tone(660.0, seed=1)], axis=1)
    soundfile.write(tmp_path / "a.wav", stereo, 44_100)  # half as long, at twice the rate
    with (tmp_path / "a.wav").open("rb") as stream:
        clip = load_clip(stream, CLIP)
    expected, _ = librosa.load(tmp_path / "a.wav", sr=RATE_HZ, mono=True)
    assert clip.waveform.shape == (88_200,)
    assert clip.waveform.dtype == np.float32
    assert (clip.sample_rate_hz, clip.duration_s) == (44_100, 2.0)
    np.testing.assert_allclose(clip.waveform[: expected.shape[0]], expected, atol=1e-4)
    assert not clip.waveform[expected.shape[0] :].any()


def test_a_mono_clip_at_the_configured_rate_is_the_decoders_output_bit_by_bit():
    content = as_file(tone(440.0), RATE_HZ, format="FLAC").getvalue()
    expected, _ = soundfile.read(io.BytesIO(content), dtype="float32")
    np.testing.assert_array_equal(load_bytes(content).waveform, expected)


@pytest.mark.parametrize(
    ("suffix", "rate", "tolerance"),
    [
        (".wav", RATE_HZ, 1e-4),
        (".WaV", RATE_HZ, 1e-4),
        (".flac", RATE_HZ, 1e-4),
        (".aiff", RATE_HZ, 1e-4),
        (".AIF", RATE_HZ, 1e-4),
        (".au", RATE_HZ, 1e-4),
        (".mp3", RATE_HZ, 0.02),
        (".ogg", RATE_HZ, 0.02),
        (".opus", 24_000, 0.1),  # knows 8, 12, 16, 24 and 48 kHz only
    ],
)
def test_every_format_is_decoded_under_any_name(tmp_path, suffix, rate, tolerance):
    path = tmp_path / f"Straße 雨 'é\n{suffix}"
    options = {".opus": {"format": "OGG", "subtype": "OPUS"}, ".AIF": {"format": "AIFF"}}
    soundfile.write(path, sine(rate), rate, **options.get(suffix, {}))
    assert is_audio(path.name)
    with path.open("rb") as stream:
        assert_is_the_sine(load_clip(stream, CLIP), rate, tolerance)


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
def test_every_sample_format_of_wav_is_decoded(subtype):
    clip = load_clip(as_file(sine(RATE_HZ), RATE_HZ, subtype=subtype), CLIP)
    assert_is_the_sine(clip, RATE_HZ, tolerance=0.01 if subtype == "PCM_U8" else 1e-4)


@pytest.mark.parametrize("num_channels", range(1, 9))
def test_channels_are_averaged(num_channels):
    gains = (
        np.arange(1, num_channels + 1) * 2 / (num_channels * (num_channels + 1))
    )  # of mean 1 / num_channels
    samples = sine(RATE_HZ)[:, None] * gains * num_channels
    assert_is_the_sine(
        load_clip(as_file(samples, RATE_HZ, subtype="FLOAT"), CLIP), RATE_HZ, tolerance=1e-4
    )


@pytest.mark.parametrize(
    "rate", [4_000, 8_000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000, 96_000, 192_000]
)
def test_every_rate_is_resampled(rate):
    assert_is_the_sine(load_clip(as_file(sine(rate), rate), CLIP), rate, tolerance=1e-3)


def test_only_the_kept_part_of_a_long_file_is_decoded():
    long = as_file(np.concatenate([tone(440.0), tone(3000.0)]), RATE_HZ)
    clip = load_clip(long, CLIP)
    np.testing.assert_allclose(clip.waveform, tone(440.0), atol=1e-4)
    assert clip.duration_s == 8.0


def test_a_long_recording_in_a_small_file_costs_no_more_memory_than_a_clip():
    ten_minutes = as_file(np.zeros(600 * 8_000, np.float32), 8_000, format="FLAC")
    tracemalloc.start()
    clip = load_clip(ten_minutes, CLIP)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert clip.waveform.shape == (88_200,)
    assert clip.duration_s == 600.0
    assert peak_bytes < 2e6  # the whole would be 19 MB


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not readable as audio"),
        (b"not audio at all" * 99, "not readable as audio"),
        (as_file(np.zeros(0, np.float32), RATE_HZ).getvalue(), "no samples"),
        (
            as_file(sine(RATE_HZ), RATE_HZ).getvalue()[:44],
            "truncated: 0 bytes of audio, but the header says 22050",
        ),
        (
            as_file(np.full(100, np.nan, np.float32), RATE_HZ, subtype="FLOAT").getvalue(),
            "NaN or infinite",
        ),
        (
            as_file(np.array([0, -np.inf], np.float32), RATE_HZ, subtype="FLOAT").getvalue(),
            "NaN or infinite",
        ),
        (
            as_file(np.array([0, -1e30], np.float32), RATE_HZ, subtype="FLOAT").getvalue(),
            r"samples up to 1e\+30; full scale is 1",
        ),
        (as_file(np.zeros(100, np.float32), 2_000_000).getvalue(), "sample rate 2000000 Hz"),
        (as_file(np.zeros(100, np.float32), 999).getvalue(), "sample rate 999 Hz"),
        (
            as_file(np.zeros((100, 33), np.float32), RATE_HZ).getvalue(),
            "33 channels; the limit is",
        ),
    ],
    ids=[
        "empty",
        "text",
        "no frames",
        "only header",
        "NaN",
        "Inf",
        "huge",
        "high rate",
        "low rate",
        "channels",
    ],
)
def test_unusable_files_are_refused_with_the_reason(content, reason):
    with pytest.raises(UnreadableClipError, match=reason):
        load_bytes(content)


@pytest.mark.parametrize(
    ("rate", "reason"),
    [(0, "not readable as audio"), (2**31 - 1, "sample rate 2147483647 Hz is not between")],
)
def test_an_absurd_rate_patched_into_the_header_is_refused(rate, reason):
    content = wav_bytes(SOUND)
    with pytest.raises(UnreadableClipError, match=reason):
        load_bytes(content[:24] + struct.pack("<I", rate) + content[28:])


@pytest.mark.parametrize("duration_s", [1, 9], ids=["short", "longer than what is decoded"])
@pytest.mark.parametrize(
    ("file_format", "subtype"),
    [
        ("WAV", "PCM_16"),
        ("WAV", "FLOAT"),
        ("WAVEX", "PCM_24"),
        ("RF64", "PCM_16"),
        ("AIFF", "PCM_16"),
        ("AU", "PCM_16"),
        ("FLAC", "PCM_16"),
        ("OGG", "VORBIS"),
        ("OGG", "OPUS"),
        ("MP3", "MPEG_LAYER_III"),
    ],
)
def test_truncated_files_are_refused(file_format, subtype, duration_s):
    whole = as_file(
        np.resize(tone(440.0), duration_s * 8_000), 8_000, format=file_format, subtype=subtype
    ).getvalue()
    assert load_bytes(whole).duration_s == duration_s
    for part in (0.97, 0.7, 0.1):
        with pytest.raises(UnreadableClipError, match="truncated|not readable"):
            load_bytes(whole[: int(part * len(whole))])


@pytest.mark.parametrize(
    "before", [b"", chunk(b"bext", b"a" * 603), MANY_TEXTS], ids=["plain", "odd", "long"]
)
def test_a_truncated_wav_is_refused_after_any_other_chunks(before):
    whole = wav_bytes(before, SOUND)
    assert load_bytes(whole).duration_s == 0.5
    with pytest.raises(
        UnreadableClipError, match=r"truncated: \d+ bytes of audio, but the header says \d+"
    ):
        load_bytes(whole[:-2])


@pytest.mark.parametrize("size", [0xFFFFFFFF, 0xFFFFFFDB, 0x80000000, 0x7FFFFFFF, 0x7FFFF000])
def test_wavs_written_to_a_pipe_are_complete(size):
    unknown = b"data" + struct.pack("<I", size) + SOUND[8:]
    assert load_bytes(wav_bytes(unknown, riff_size=0xFFFFFFFF)).duration_s == 0.5


@pytest.mark.parametrize(
    "content",
    [
        wav_bytes(SOUND, riff_size=999_999),
        wav_bytes(SOUND, riff_size=0),
        wav_bytes(SOUND, MANY_TEXTS)[:-500],
        wav_bytes(SOUND) + b"TAG" + b"\0" * 125,
        wav_bytes(chunk(b"data", b"\x80" * 3_999), bits=8)[:-1],
    ],
    ids=[
        "whole size too large",
        "whole size zero",
        "text cut behind the sound",
        "trailing tag",
        "no padding",
    ],
)
def test_complete_audio_in_a_sloppy_wav_is_decoded(content):
    assert load_bytes(content).duration_s == pytest.approx(0.5, abs=2e-4)


def test_an_mp3_without_a_length_is_decoded():
    buffer = io.BytesIO()
    soundfile.write(
        buffer, tone(440.0), RATE_HZ, format="MP3", bitrate_mode="CONSTANT", compression_level=0.5
    )
    content = buffer.getvalue()
    table = content.index(b"Info")
    assert load_bytes(
        content[:table] + b"\0" * 120 + content[table + 120 :]
    ).duration_s == pytest.approx(4, abs=0.2)


@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # seeks that libsndfile handles
def test_any_corruption_gives_a_clip_or_a_reason():
    kinds = [
        "WAV PCM_16",
        "WAV FLOAT",
        "FLAC PCM_16",
        "OGG VORBIS",
        "OGG OPUS",
        "AIFF PCM_24",
        "AU FLOAT",
    ]
    kinds += ["MP3 MPEG_LAYER_III", "WAV IMA_ADPCM"]
    sound = np.resize(tone(440.0), 4_000)
    files = [
        as_file(sound, 8_000, format=kind.split()[0], subtype=kind.split()[1]).getvalue()
        for kind in kinds
    ]
    rng = np.random.default_rng(0)
    num_refused = 0
    for trial in range(300):
        content = bytearray(files[trial % len(files)])
        for position in rng.integers(rng.choice([100, len(content)]), size=rng.integers(1, 5)):
            content[position : position + 1 + rng.integers(8)] = rng.bytes(4)
        content = content[: rng.choice([len(content), rng.integers(len(content))])]
        try:
            clip = load_bytes(bytes(content))
        except UnreadableClipError:
            num_refused += 1
        else:
            assert clip.waveform.shape == (88_200,)
            assert np.isfinite(clip.waveform).all()
    assert 100 < num_refused < 300


@pytest.mark.parametrize(
    ("samples", "warning"),
    [
        (np.zeros(8_000), "silent: every sample is equal"),
        (np.full(8_000, 0.25), "silent: every sample is equal"),
        (np.ones(1), "silent: every sample is equal"),
        (np.zeros((8_000, 2)), "silent: every sample is equal"),
        (np.stack([np.full(800, 0.1), np.full(800, -0.1)], 1), "silent: every sample is equal"),
        (
            np.stack([sine(16_000), -sine(16_000)], 1),
            "its channels cancel: the mix is 100 dB quieter than the louder channel",
        ),
        (
            np.stack([sine(16_000), -0.98 * sine(16_000)], 1) + 0.1,
            "its channels cancel: the mix is 40 dB quieter than the louder channel",
        ),
        (sine(16_000), ""),
        (np.stack([sine(16_000), np.zeros(8_000)], 1), ""),
        (np.stack([sine(16_000), -0.5 * sine(16_000)], 1), ""),
        (np.stack([sine(16_000)] + [np.zeros(8_000)] * 7, 1), ""),
    ],
)
def test_silence_and_channels_that_cancel_are_a_warning(samples, warning):
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, 16_000, format="WAV", subtype="FLOAT")
    assert load_bytes(buffer.getvalue()).warning == warning


def test_wav_files_are_16_bit_and_keep_the_samples():
    data, rate = soundfile.read(io.BytesIO(encode_wav(tone(440.0), RATE_HZ)), dtype="float32")
    assert rate == RATE_HZ
    assert soundfile.info(io.BytesIO(encode_wav(tone(440.0), RATE_HZ))).subtype == "PCM_16"
    np.testing.assert_allclose(data, tone(440.0), atol=1 / 32_000)


def test_audio_files_are_recognized_by_their_ending_in_any_case():
    assert is_audio("a.WAV")
    assert is_audio("Straße 1.Flac")
    assert not is_audio("notes.txt")
